package evidence

import "errors"

// Why a signature does not count. The Reason of each Rejection of an intact signature is one of
// these with details; a signature that is damaged has reasons of its own.
var (
	ErrInvalidSignature     = errors.New("invalid signature") // not made with the key, or over something else
	ErrOtherDigest          = errors.New("payload is for another digest")
	ErrAnnotation           = errors.New("Annotation not satisfied")
	ErrNoCertificate        = errors.New("not keyless: no certificate")
	ErrUntrustedCertificate = errors.New("certificate not issued by a trusted authority")
	ErrUnloggedCertificate  = errors.New("certificate not in certificate transparency log")
	ErrNotLogged            = errors.New("not in transparency log")
	ErrNoTime               = errors.New("no proof of the signing time")
	ErrExpired              = errors.New("certificate expired at signing time")
	ErrNotYetValid          = errors.New("certificate not yet valid at signing time")
	ErrNoIdentity           = errors.New("certificate without identity")
	ErrWrongIdentity        = errors.New("wrong identity")
)
