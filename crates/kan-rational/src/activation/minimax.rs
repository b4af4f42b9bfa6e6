//! Our minimax fits, whose largest error on `[-range, range]` is the smallest that form A can reach with these degrees.
//!
//! Every denominator coefficient is non-negative and every odd one is zero, so forms A and B are the same function
//! here. The coefficients were computed with the method of [`fit::minimax`](crate::fit::minimax), which reproduces
//! them.

use super::Activation;
use crate::{Coefficients, Degrees};

/// One minimax fit of an activation on `[-range, range]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minimax {
    /// The function that the coefficients stand for.
    pub activation: Activation,
    /// The fit holds on `[-range, range]`.
    pub range: u32,
    /// `a_0` to `a_n`, ascending powers.
    pub numerator: &'static [f64],
    /// `b_1` to `b_m`, ascending powers; `b_0` is 1.
    pub denominator: &'static [f64],
    /// Largest error on the range.
    pub max_error: f64,
    /// Largest error of the derivative on the range.
    pub max_derivative_error: f64,
}

impl Minimax {
    /// The coefficients in the crate's common form.
    pub fn coefficients(&self) -> Coefficients {
        Coefficients::new(self.numerator, self.denominator)
    }

    /// Degrees, as the numbers of coefficients tell.
    pub fn degrees(&self) -> Degrees {
        Degrees {
            numerator: self.numerator.len() - 1,
            denominator: self.denominator.len(),
        }
    }
}

impl Activation {
    /// The stored minimax fit with exactly these degrees on `[-range, range]`.
    pub fn minimax(self, degrees: Degrees, range: u32) -> Option<&'static Minimax> {
        let mut of_activation = MINIMAX.iter().filter(|entry| entry.activation == self);
        of_activation.find(|entry| entry.range == range && entry.degrees() == degrees)
    }
}

/// Every stored fit, by activation, range and degrees.
pub(super) static MINIMAX: &[Minimax] = &[
    Minimax {
        activation: Activation::Swish,
        range: 3,
        numerator: &[
            4.3884480632246777e-07,
            0.5,
            0.24999663403222472,
            0.05324420928611309,
            0.0057927674521641125,
            0.0002738219924607645,
        ],
        denominator: &[0.0, 0.10648841857222618, 0.0, 0.000547643984921529],
        max_error: 5.056980417750268e-07,
        max_derivative_error: 1.143099966686989e-05,
    },
    Minimax {
        activation: Activation::Swish,
        range: 4,
        numerator: &[
            4.775932680647833e-06,
            0.5,
            0.24997628565884156,
            0.05296817877883423,
            0.0056690332862892445,
            0.00025815152894848785,
        ],
        denominator: &[0.0, 0.10593635755766846, 0.0, 0.0005163030578969757],
        max_error: 4.778359370016805e-06,
        max_derivative_error: 8.07512238768654e-05,
    },
    Minimax {
        activation: Activation::Swish,
        range: 5,
        numerator: &[
            2.548115637294762e-05,
            0.5,
            0.24990402223725267,
            0.052575688595004014,
            0.005510183816018029,
            0.00024035803256780577,
        ],
        denominator: &[0.0, 0.10515137719000803, 0.0, 0.00048071606513561154],
        max_error: 2.553663850235477e-05,
        max_derivative_error: 0.00030792785425835453,
    },
    Minimax {
        activation: Activation::Swish,
        range: 6,
        numerator: &[
            8.979157333560537e-05,
            0.5,
            0.24972325689525038,
            0.05204323980827195,
            0.0053191629747958115,
            0.0002214303133968106,
        ],
        denominator: &[0.0, 0.1040864796165439, 0.0, 0.0004428606267936212],
        max_error: 8.980194647312256e-05,
        max_derivative_error: 0.0008153636902779177,
    },
    Minimax {
        activation: Activation::Swish,
        range: 8,
        numerator: &[
            0.000523841188472312,
            0.5,
            0.2487663396182154,
            0.05049985723288143,
            0.004860761160536723,
            0.00018322962669365894,
        ],
        denominator: &[0.0, 0.10099971446576286, 0.0, 0.0003664592533873179],
        max_error: 0.0005239059859958317,
        max_derivative_error: 0.002996455984906304,
    },
    Minimax {
        activation: Activation::Swish,
        range: 8,
        numerator: &[
            5.33991051750384e-07,
            0.5,
            0.24999784624348065,
            0.056361204559455175,
            0.00734852966066673,
            0.0005841998160961112,
            2.6749725782978385e-05,
            5.471120415900572e-07,
        ],
        denominator: &[
            0.0,
            0.11272240911891035,
            0.0,
            0.0011683996321922225,
            0.0,
            1.0942240831801144e-06,
        ],
        max_error: 5.980595304544423e-07,
        max_derivative_error: 7.120938183717562e-06,
    },
    Minimax {
        activation: Activation::Swish,
        range: 10,
        numerator: &[
            0.0016890748431577153,
            0.5,
            0.2466668764337723,
            0.048341480890783925,
            0.0043455026511349274,
            0.00014811136632099614,
        ],
        denominator: &[0.0, 0.09668296178156785, 0.0, 0.0002962227326419923],
        max_error: 0.00168932074707777,
        max_derivative_error: 0.0067164957207836995,
    },
    Minimax {
        activation: Activation::Swish,
        range: 10,
        numerator: &[
            3.951240137994203e-06,
            0.5,
            0.24998755582190693,
            0.056102317405041305,
            0.0072238212172391816,
            0.0005601125986453082,
            2.4587971556491176e-05,
            4.722524634352248e-07,
        ],
        denominator: &[
            0.0,
            0.11220463481008261,
            0.0,
            0.0011202251972906164,
            0.0,
            9.445049268704496e-07,
        ],
        max_error: 3.980218954924286e-06,
        max_derivative_error: 3.6517116836123204e-05,
    },
    Minimax {
        activation: Activation::Swish,
        range: 12,
        numerator: &[
            0.003870991356299708,
            0.5,
            0.2432913252581341,
            0.04572852874810144,
            0.003825629616486889,
            0.0001182421785794122,
        ],
        denominator: &[0.0, 0.09145705749620288, 0.0, 0.0002364843571588244],
        max_error: 0.0038719369502333576,
        max_derivative_error: 0.011456109645835655,
    },
    Minimax {
        activation: Activation::Swish,
        range: 16,
        numerator: &[
            0.011568168321423912,
            0.5,
            0.23341843329525802,
            0.03995423376685846,
            0.002898928290408007,
            7.482534426216812e-05,
        ],
        denominator: &[0.0, 0.07990846753371691, 0.0, 0.00014965068852433624],
        max_error: 0.011569003537049228,
        max_derivative_error: 0.02175930788131788,
    },
    Minimax {
        activation: Activation::Swish,
        range: 16,
        numerator: &[
            0.00012000058134262819,
            0.5,
            0.24972408482997677,
            0.05486697819273525,
            0.006696166298145285,
            0.0004713178214936865,
            1.7879683106806824e-05,
            2.8239664119928396e-07,
        ],
        denominator: &[
            0.0,
            0.1097339563854705,
            0.0,
            0.000942635642987373,
            0.0,
            5.647932823985679e-07,
        ],
        max_error: 0.00012002352967832586,
        max_derivative_error: 0.0005092228855823056,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 3,
        numerator: &[
            -0.0012741350931268372,
            0.5,
            0.4081549482807187,
            0.10676026422412604,
            0.008578418936679818,
            0.0,
        ],
        denominator: &[0.0, 0.2135205284482521, 0.0, 0.0],
        max_error: 0.0012742207165459263,
        max_derivative_error: 0.012050931862745529,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 4,
        numerator: &[
            -0.002043571581429206,
            0.5,
            0.41218808719142225,
            0.11220163461064558,
            0.010070219580198537,
            0.0,
        ],
        denominator: &[0.0, 0.22440326922129117, 0.0, 0.0],
        max_error: 0.0020436301306463456,
        max_derivative_error: 0.0073789483404052,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 5,
        numerator: &[
            -0.0024049562545742204,
            0.5,
            0.41407961025752404,
            0.1163666576626972,
            0.01204643702669322,
            0.00026099283826680925,
        ],
        denominator: &[0.0, 0.2327333153253944, 0.0, 0.0005219856765336185],
        max_error: 0.0024051615433799967,
        max_derivative_error: 0.016045740230472727,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 6,
        numerator: &[
            -0.003084490774007605,
            0.5,
            0.41751933632755905,
            0.12293657295018888,
            0.0149353308545995,
            0.0006165360515992761,
        ],
        denominator: &[0.0, 0.24587314590037776, 0.0, 0.0012330721031985521],
        max_error: 0.0030846067387813106,
        max_derivative_error: 0.01132512678031139,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 8,
        numerator: &[
            -0.003351399979369234,
            0.5,
            0.4188306808125579,
            0.1251366609249767,
            0.01582610788158931,
            0.0007173441895953737,
        ],
        denominator: &[0.0, 0.2502733218499534, 0.0, 0.0014346883791907473],
        max_error: 0.0033516740756249774,
        max_derivative_error: 0.011566196464970813,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 8,
        numerator: &[
            0.002331565286446872,
            0.5,
            0.3226901372907424,
            3.695244951496165,
            3.0868251640846287,
            0.9446458772533277,
            0.12364888831398217,
            0.0058433402643005795,
        ],
        denominator: &[
            0.0,
            7.39048990299233,
            0.0,
            1.8892917545066554,
            0.0,
            0.011686680528601159,
        ],
        max_error: 0.002340326985527812,
        max_derivative_error: 0.018643984302446515,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 10,
        numerator: &[
            0.006650837610907789,
            0.5,
            0.4011283081442485,
            0.11306417410949608,
            0.013240842894176912,
            0.0005469393976947574,
        ],
        denominator: &[0.0, 0.22612834821899216, 0.0, 0.0010938787953895148],
        max_error: 0.006662669953778622,
        max_derivative_error: 0.020867329804975264,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 10,
        numerator: &[
            -0.0036459422816258265,
            0.5,
            0.42028451937996636,
            0.12867351057044923,
            0.017712577705701584,
            0.0010720940967183963,
            2.1556684664641176e-05,
            0.0,
        ],
        denominator: &[0.0, 0.25734702114089847, 0.0, 0.0021441881934367926, 0.0, 0.0],
        max_error: 0.003646084578104114,
        max_derivative_error: 0.01249660643339992,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 12,
        numerator: &[
            0.013139584544942056,
            0.5,
            0.3820303611452643,
            0.09989205998763978,
            0.01057594089720101,
            0.0003870757687888032,
        ],
        denominator: &[0.0, 0.19978411997527956, 0.0, 0.0007741515375776064],
        max_error: 0.01313999394548903,
        max_derivative_error: 0.03016994416570773,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 16,
        numerator: &[
            0.02987110176903247,
            0.5,
            0.34432799302722594,
            0.07781736017698238,
            0.006842011300733827,
            0.00020203328321774817,
        ],
        denominator: &[0.0, 0.15563472035396475, 0.0, 0.00040406656643549634],
        max_error: 0.029874746354591863,
        max_derivative_error: 0.0585278667233184,
    },
    Minimax {
        activation: Activation::Gelu,
        range: 16,
        numerator: &[
            -0.0038714025398682984,
            0.5,
            0.42138561690803295,
            0.13128597043336088,
            0.019101511473659124,
            0.0013416627779688913,
            4.101963154721818e-05,
            3.514043021556407e-07,
        ],
        denominator: &[
            0.0,
            0.26257194086672175,
            0.0,
            0.0026833255559377826,
            0.0,
            7.028086043112814e-07,
        ],
        max_error: 0.0038717420751388197,
        max_derivative_error: 0.013204943909765565,
    },
];
