//! The table published with the Kolmogorov-Arnold Transformer (`init.json` of rational_kat_cu 181bae8).
//!
//! Its entries have different origins. Most come from the `rational_activations` package and were fitted for form A.
//! `gelu` was refitted by the authors for form B and is wrong by 1.46 on `[-3, 3]` under form A, which is what the
//! published kernels compute. Errors below were measured in f64.

use super::Activation;
use crate::{Coefficients, Denominator};

/// One published set of coefficients of degrees (5, 4), with its measured errors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Name in the published file.
    pub name: &'static str,
    /// `a_0` to `a_5`, ascending powers.
    pub numerator: [f64; 6],
    /// `b_1` to `b_4`, ascending powers; `b_0` is 1.
    pub denominator: [f64; 4],
    /// The form it was fitted for.
    pub fitted_for: Denominator,
    /// Largest error on `[-3, 3]` under form A.
    pub max_error_sum_of_abs: f64,
    /// Largest error on `[-3, 3]` under form B.
    pub max_error_abs_of_sum: f64,
}

impl Published {
    /// The coefficients in the crate's common form.
    pub fn coefficients(&self) -> Coefficients {
        Coefficients::new(&self.numerator, &self.denominator)
    }

    /// Whether the entry approximates its function under `form`: it was fitted for it, or does no worse there.
    pub fn valid_under(&self, form: Denominator) -> bool {
        let (here, there) = match form {
            Denominator::SumOfAbs => (self.max_error_sum_of_abs, self.max_error_abs_of_sum),
            Denominator::AbsOfSum => (self.max_error_abs_of_sum, self.max_error_sum_of_abs),
        };
        self.fitted_for == form || here <= there
    }
}

impl Activation {
    /// The published coefficients of this function.
    pub fn published(self) -> Option<&'static Published> {
        PUBLISHED.iter().find(|entry| entry.name == self.name())
    }
}

/// Every published entry, also those that start no [`Activation`] here.
pub(super) static PUBLISHED: &[Published] = &[
    Published {
        name: "identity",
        numerator: [0.0, 1.0, 0.0, 0.0, 0.0, 0.0],
        denominator: [0.0, 0.0, 0.0, 0.0],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 0.0,
        max_error_abs_of_sum: 0.0,
    },
    Published {
        name: "leaky_relu",
        numerator: [
            0.029792778657264946,
            0.6183735264987601,
            2.323309062531321,
            3.051936237265109,
            1.4854203263828845,
            0.2510244961111299,
        ],
        denominator: [
            -1.1419548357285474,
            4.393159974992486,
            0.8714712309957245,
            0.34719662339598834,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 0.029792778657264946,
        max_error_abs_of_sum: 0.424310242717878,
    },
    Published {
        name: "tanh",
        numerator: [
            -1.0804622559204184e-08,
            1.0003008043819048,
            -2.5878199375289335e-08,
            0.09632129918392647,
            3.4775841628196104e-09,
            0.0004255709234726337,
        ],
        denominator: [
            -0.0013027181209176277,
            0.428349017422072,
            1.4524304083061898e-09,
            0.010796648111337176,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 4.0586375588014256e-05,
        max_error_abs_of_sum: 0.0017736569425141901,
    },
    Published {
        name: "sigmoid",
        numerator: [
            0.4999992534599381,
            0.25002157564685185,
            0.14061924500301096,
            0.049420492431596394,
            0.00876714851885483,
            0.0006442412789159799,
        ],
        denominator: [
            2.1694506382753683e-09,
            0.28122766100417684,
            1.0123620714203357e-05,
            0.017531988049946,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 1.8563780769143e-05,
        max_error_abs_of_sum: 1.8563780769143e-05,
    },
    Published {
        name: "relu",
        numerator: [
            0.029963801610813613,
            0.6168978366891341,
            2.37534759733888,
            3.0659900472408443,
            1.5246831881677423,
            0.2528070864040542,
        ],
        denominator: [
            -1.191550121923625,
            4.4080487697236626,
            0.9110357113686055,
            0.34884977946384615,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 0.029963801610813613,
        max_error_abs_of_sum: 0.4433289374221525,
    },
    Published {
        name: "gelu_old",
        numerator: [
            -0.0012423594497499122,
            0.5080497063245629,
            0.41586363182937475,
            0.13022718688035761,
            0.024355900098993424,
            0.00290283948155535,
        ],
        denominator: [
            -0.06675015696494944,
            0.17927646217001553,
            0.03746682605496631,
            1.6561610853276082e-10,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 0.004136480101624622,
        max_error_abs_of_sum: 0.3501986187097592,
    },
    Published {
        name: "gelu",
        numerator: [-0.00153969, 0.51692871, 0.44075827, 0.0972553, -0.00884418, -0.00378675],
        denominator: [-0.14171056, -0.06481231, -0.0444695, 0.01283776],
        fitted_for: Denominator::AbsOfSum,
        max_error_sum_of_abs: 1.464898401283717,
        max_error_abs_of_sum: 0.0029543484235974304,
    },
    Published {
        name: "swish",
        numerator: [
            3.054879741161051e-07,
            0.5000007853744493,
            0.24999783422824703,
            0.05326628273219478,
            0.005803034571292244,
            0.0002751961022402342,
        ],
        denominator: [
            -4.111554955950634e-06,
            0.10652899335007572,
            -1.2690007399796238e-06,
            0.0005502331264140556,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 1.1983277770077905e-06,
        max_error_abs_of_sum: 0.00013175772526663465,
    },
    Published {
        name: "geglu",
        numerator: [0.00079642, -0.00602563, 0.49750578, 0.47691076, 0.15421425, 0.0168486],
        denominator: [-0.12619161, -0.20067464, -0.03005465, 0.0027335],
        fitted_for: Denominator::AbsOfSum,
        max_error_sum_of_abs: 0.9446643235648171,
        max_error_abs_of_sum: 0.0012937639326483473,
    },
    Published {
        name: "swishglu",
        numerator: [-0.00111528, -0.00334562, 0.53107663, 0.27851476, 0.06044361, 0.00483468],
        denominator: [0.14408492, 0.02008671, 0.02944107, -0.00329516],
        fitted_for: Denominator::AbsOfSum,
        max_error_sum_of_abs: 1.7095366676411095,
        max_error_abs_of_sum: 0.0017447302373660989,
    },
    Published {
        name: "leaky_relu_0.1",
        numerator: [
            0.028001623256966722,
            0.6356606448768645,
            1.9230178392192485,
            2.96752700768763,
            1.1911336843997844,
            0.23922607056505849,
        ],
        denominator: [
            -0.7802079437303349,
            4.278190623059944,
            0.5865922075979962,
            0.33447021316466974,
        ],
        fitted_for: Denominator::SumOfAbs,
        max_error_sum_of_abs: 0.028001623256966722,
        max_error_abs_of_sum: 0.2893720198957437,
    },
    Published {
        name: "erfc_Softplus_2",
        numerator: [0.10685354, -0.23290146, 0.19928975, -0.08317628, 0.01685602, -0.0013217],
        denominator: [-0.04596856, 0.4134001, 0.01430384, 0.03504373],
        fitted_for: Denominator::AbsOfSum,
        max_error_sum_of_abs: 0.0854165772938098,
        max_error_abs_of_sum: 0.0002783398700448164,
    },
];
