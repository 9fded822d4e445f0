extern crate std;

use std::vec::Vec;

use super::*;
use crate::crypto::tests::{FixedRng, SeededRng, hex, unhex, unhex_array};

/// draft-irtf-cfrg-cpace-21 (23 April 2026), appendix B.3: ristretto255, SHA-512.
mod draft {
    pub(super) const PRS: &str = "50617373776f7264";
    pub(super) const CI: &str = "0b415f696e69746961746f720b425f726573706f6e646572";
    pub(super) const SID: &str = "7e4b4791d6a8ef019b936c79fb7f2c57";
    pub(super) const G: &str = "222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56";
    pub(super) const YA_SCALAR: &str = "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08";
    pub(super) const ADA: &str = "414461";
    pub(super) const YA: &str = "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157";
    pub(super) const YB_SCALAR: &str = "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d";
    pub(super) const ADB: &str = "414462";
    pub(super) const YB: &str = "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258";
    pub(super) const K: &str = "80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f";
    pub(super) const ISK_SY: &str = "544199d71f62f8d9a1fee55727e24fe4a45844593c2b6013c4fa3969d0e5debb\
                                     2244675c0b43397cbb68d342b01fc0f98fc961469a25134de9f0f813c1a57476";
    pub(super) const SID_OUTPUT_OC: &str = "10d5941d4933497fe31b9188d690b84465e2a2d158332a7267284a071a8d0876\
                                            fc5c8c329dc735d59a9f8ef6623ee23924704a2f929dd631ca981227ee82fff2";

    pub(super) const POINT_SCALAR: &str = "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05";
    pub(super) const POINT_VALID: &str = "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c";
    pub(super) const POINT_RESULT: &str = "7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e";
    pub(super) const POINTS_INVALID: [&str; 2] = [
        "2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c",
        "0000000000000000000000000000000000000000000000000000000000000000",
    ];
}

/// RFC 9496, appendix A.2.
const INVALID_ENCODINGS: [&str; 29] = [
    // Not canonical.
    "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    // Negative.
    "0100000000000000000000000000000000000000000000000000000000000000",
    "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
    "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
    "c940e5a4404157cfb1628b108db051a8d439e1a421394ec4ebccb9ec92a8ac78",
    "47cfc5497c53dc8e61c91d17fd626ffb1c49e2bca94eed052281b510b1117a24",
    "f1c6165d33367351b0da8f6e4511010c68174a03b6581212c71c0e1d026c3c72",
    "87260f7a2f12495118360f02c26a470f450dadf34a413d21042b43b9d93e1309",
    // x squared is no square.
    "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
    "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
    "de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b",
    "bcab477be20861e01e4a0e295284146a510150d9817763caf1a6f4b422d67042",
    "2a292df7e32cababbd9de088d1d1abec9fc0440f637ed2fba145094dc14bea08",
    "f4a9e534fc0d216c44b218fa0c42d99635a0127ee2e53c712f70609649fdff22",
    "8268436f8c4126196cf64b3c7ddbda90746a378625f9813dd9b8457077256731",
    "2810e5cbc2cc4d4eece54f61c6f69758e289aa7ab440b3cbeaa21995c2f4232b",
    // xy is negative.
    "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
    "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
    "d483fe813c6ba647ebbfd3ec41adca1c6130c2beeee9d9bf065c8d151c5f396e",
    "8a2e1d30050198c65a54483123960ccc38aef6848e1ec8f5f780e8523769ba32",
    "32888462f8b486c68ad7dd9610be5192bbeaf3b443951ac1a8118419d9fa097b",
    "227142501b9d4355ccba290404bde41575b037693cef1f438c47f8fbf35d1165",
    "5c37cc491da847cfeb9281d407efc41e15144c876e0170b499a96a22ed31e01e",
    "445425117cb8c90edcbc7c1cc0e74f747f2c1efa5630a967c64f287792a48a4b",
    // s = -1, which makes y = 0.
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn start_draft(scalar: &str, ad: &str) -> CpaceState {
    let (prs, ci, sid) = (unhex(draft::PRS), unhex(draft::CI), unhex(draft::SID));
    CpaceState::start(&prs, &ci, &sid, &unhex(ad), &mut FixedRng::scalar(&unhex_array(scalar)))
}

fn scalar(text: &str) -> Scalar {
    Scalar::from_canonical_bytes(unhex_array(text)).unwrap()
}

#[test]
fn every_value_of_the_draft() {
    let g = calculate_generator(&unhex(draft::PRS), &unhex(draft::CI), &unhex(draft::SID));
    assert_eq!(hex(g.compress().to_bytes()), draft::G);

    let (a, b) = (start_draft(draft::YA_SCALAR, draft::ADA), start_draft(draft::YB_SCALAR, draft::ADB));
    let (ya, yb) = (*a.share(), *b.share());
    assert_eq!(hex(ya), draft::YA);
    assert_eq!(hex(yb), draft::YB);
    assert_eq!(hex(*scalar_mult_vfy(&scalar(draft::YA_SCALAR), &yb).unwrap()), draft::K);
    assert_eq!(hex(*scalar_mult_vfy(&scalar(draft::YB_SCALAR), &ya).unwrap()), draft::K);

    let a = a.finish(&yb, &unhex(draft::ADB)).unwrap();
    let b = b.finish(&ya, &unhex(draft::ADA)).unwrap();
    for output in [a, b] {
        assert_eq!(hex(*output.isk), draft::ISK_SY);
        assert_eq!(hex(output.sid_output), draft::SID_OUTPUT_OC);
    }
}

#[test]
fn points_of_the_draft() {
    let s = scalar(draft::POINT_SCALAR);
    let result = scalar_mult_vfy(&s, &unhex_array(draft::POINT_VALID)).unwrap();
    assert_eq!(hex(*result), draft::POINT_RESULT);
    for point in draft::POINTS_INVALID {
        assert_eq!(scalar_mult_vfy(&s, &unhex_array(point)), Err(ShareError), "{point}");
    }
}

/// Not canonical, negative, no point, the identity, our own: one error for all.
#[test]
fn unusable_shares_are_refused_alike() {
    let refused = |share: &[u8; 32]| {
        let state = start_draft(draft::YA_SCALAR, draft::ADA);
        assert_eq!(state.finish(share, b"ADb").err(), Some(ShareError), "{}", hex(share));
    };
    for encoding in INVALID_ENCODINGS.iter().chain(&draft::POINTS_INVALID) {
        refused(&unhex_array(encoding));
    }
    refused(&unhex_array(draft::YA));
}

/// A scalar is drawn from 64 bytes, so that its reduction shows no bias, and a share is never the same twice.
#[test]
fn a_scalar_takes_64_bytes() {
    let state = CpaceState::start(b"p", b"c", b"s", b"a", &mut FixedRng::new(&[0xff; 64]));
    let expected = calculate_generator(b"p", b"c", b"s") * Scalar::from_bytes_mod_order_wide(&[0xff; 64]);
    assert_eq!(*state.share(), expected.compress().to_bytes());

    let mut rng = SeededRng::new("two runs");
    let shares = [(); 2].map(|()| *CpaceState::start(b"p", b"c", b"s", b"a", &mut rng).share());
    assert_ne!(shares[0], shares[1]);
}

/// An implementation of the same revision by somebody else.
struct Oracle;

impl pakery_cpace::CpaceCiphersuite for Oracle {
    type Group = pakery_crypto::Ristretto255Group;
    type Hash = pakery_crypto::Sha512Hash;
    const DSI: &'static [u8] = b"CPaceRistretto255";
    const HASH_BLOCK_SIZE: usize = 128;
    const FIELD_SIZE_BYTES: usize = 32;
}

proptest::proptest! {
    #[test]
    fn agrees_with_the_oracle(
        prs in bytes(300), ci in bytes(200), sid in bytes(64), ad_a in bytes(150), ad_b in bytes(64), seed: u64,
    ) {
        let mut rng = SeededRng::new(seed.to_be_bytes());
        let ours = CpaceState::start(&prs, &ci, &sid, &ad_a, &mut rng);
        let (yb, theirs) =
            pakery_cpace::CpaceInitiator::<Oracle>::start(&prs, &ci, &sid, &ad_b, &mut rng).unwrap();
        let ya = *ours.share();
        let ours = ours.finish(&yb[..].try_into().unwrap(), &ad_b).unwrap();
        let theirs = theirs.finish(&ya, &ad_a, pakery_cpace::CpaceMode::Symmetric).unwrap();
        assert_eq!(&ours.isk[..], theirs.isk.as_bytes());
        assert_eq!(&ours.sid_output[..], &theirs.session_id[..]);
    }
}

fn bytes(max: usize) -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::num::u8::ANY, 0..max)
}
