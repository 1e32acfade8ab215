package sdk

import (
	"errors"
	"maps"
	"slices"
	"strconv"
)

// KeylessInfo is an identity that must have signed: exactly this subject, an e-mail address or a
// URI, as an OIDC issuer vouched for it.
type KeylessInfo struct{ Issuer, Subject string }

// KeylessPrefixInfo is an identity that must have signed: any subject below a URL, as an OIDC
// issuer vouched for it.
type KeylessPrefixInfo struct{ Issuer, URLPrefix string }

// CertificateInfo is a certificate whose key must have signed.
type CertificateInfo struct {
	Certificate []byte   // PEM
	Chain       [][]byte // PEM, one of which must have issued Certificate; nil: it is trusted as it is
	// RequireRekorBundle asks for an entry in the transparency log.
	RequireRekorBundle bool
}

// VerifyPubKeysImage makes sure that an image is signed with every one of the keys, PEM, and
// returns the digest that image means now: of the index, for a multi-platform image. A signature
// counts when it carries all the annotations; nil asks for none. An image that is not signed so is
// a *HostError, as is a failure to find out.
//
//	oci/v2/verify   request: {"type":"SigstorePubKeyVerify","image":…,"pub_keys":[…],"annotations":{…}}
//	                answer:  {"is_trusted":true,"digest":"sha256:…"}
func VerifyPubKeysImage(image string, keys []string, annotations map[string]string) (digest string, err error) {
	return verifyV2("SigstorePubKeyVerify", image, annotations, appendKeys(nil, keys))
}

// VerifyKeylessExactMatch is VerifyPubKeysImage for identities, every one of which must have
// signed.
func VerifyKeylessExactMatch(image string, keyless []KeylessInfo, annotations map[string]string) (digest string, err error) {
	return verifyV2("SigstoreKeylessVerify", image, annotations, appendKeyless(nil, keyless))
}

// VerifyKeylessPrefixMatch is VerifyKeylessExactMatch for identities whose subjects lie below URLs.
func VerifyKeylessPrefixMatch(
	image string, keyless []KeylessPrefixInfo, annotations map[string]string,
) (digest string, err error) {
	text := appendArray([]byte(`"keyless_prefix":`), keyless, func(text []byte, info KeylessPrefixInfo) []byte {
		text = appendMember(append(text, '{'), "issuer", info.Issuer)
		return append(appendMember(append(text, ','), "url_prefix", info.URLPrefix), '}')
	})
	return verifyV2("SigstoreKeylessPrefixVerify", image, annotations, text)
}

// VerifyKeylessGithubActions is VerifyPubKeysImage for a workflow of GitHub Actions that ran in a
// repository of owner: in repo, or in any when that is "".
func VerifyKeylessGithubActions(image, owner, repo string, annotations map[string]string) (digest string, err error) {
	text := appendMember(nil, "owner", owner)
	if repo != "" {
		text = appendMember(append(text, ','), "repo", repo)
	}
	return verifyV2("SigstoreGithubActionsVerify", image, annotations, text)
}

// VerifyCertificate is VerifyPubKeysImage for the key of a certificate.
func VerifyCertificate(image string, certificate CertificateInfo, annotations map[string]string) (digest string, err error) {
	text := appendBytes([]byte(`"certificate":`), certificate.Certificate)
	if certificate.Chain != nil {
		text = appendArray(append(text, `,"certificate_chain":`...), certificate.Chain, appendBytes)
	}
	text = strconv.AppendBool(append(text, `,"require_rekor_bundle":`...), certificate.RequireRekorBundle)
	return verifyV2("SigstoreCertificateVerify", image, annotations, text)
}

// VerifyPubKeys is VerifyPubKeysImage by the older oci/v1/verify, for policies that are granted
// only that.
func VerifyPubKeys(image string, keys []string, annotations map[string]string) (digest string, err error) {
	return verifyV1("SigstorePubKeyVerify", image, annotations, appendKeys(nil, keys))
}

// VerifyKeyless is VerifyKeylessExactMatch by the older oci/v1/verify, for policies that are
// granted only that.
func VerifyKeyless(image string, keyless []KeylessInfo, annotations map[string]string) (digest string, err error) {
	return verifyV1("SigstoreKeylessVerify", image, annotations, appendKeyless(nil, keyless))
}

func verifyV1(variant, image string, annotations map[string]string, constraints []byte) (string, error) {
	request := appendRequest(append(appendQuoted([]byte{'{'}, variant), ':', '{'), image, annotations, constraints)
	return trusted("v1/verify", append(request, "}}"...))
}

func verifyV2(variant, image string, annotations map[string]string, constraints []byte) (string, error) {
	request := append(appendMember([]byte{'{'}, "type", variant), ',')
	return trusted("v2/verify", append(appendRequest(request, image, annotations, constraints), '}'))
}

// trusted makes the host call and returns the digest.
func trusted(operation string, request []byte) (string, error) {
	answer, err := HostCall("oci", operation, Value{string(request)})
	if err != nil {
		return "", err
	}
	return trustedDigest(operation, answer)
}

// trustedDigest reads the digest in an answer. A host does not answer that something is not
// trusted; should one do so, it must not pass for success.
func trustedDigest(operation string, answer Value) (string, error) {
	digest, ok := answer.Get("digest").Text()
	if !ok || digest == "" || !answer.Get("is_trusted").IsTrue() {
		return "", errors.New("host call oci/" + operation + ": the image is not trusted: " + answer.Raw())
	}
	return digest, nil
}

func appendRequest(text []byte, image string, annotations map[string]string, constraints []byte) []byte {
	text = append(append(appendMember(text, "image", image), ','), constraints...)
	return appendAnnotations(append(text, `,"annotations":`...), annotations)
}

func appendKeys(text []byte, keys []string) []byte {
	return appendArray(append(text, `"pub_keys":`...), keys, appendQuoted)
}

func appendKeyless(text []byte, keyless []KeylessInfo) []byte {
	return appendArray(append(text, `"keyless":`...), keyless, func(text []byte, info KeylessInfo) []byte {
		text = appendMember(append(text, '{'), "issuer", info.Issuer)
		return append(appendMember(append(text, ','), "subject", info.Subject), '}')
	})
}

// appendMember appends "name":"value".
func appendMember(text []byte, name, value string) []byte {
	return appendQuoted(append(appendQuoted(text, name), ':'), value)
}

// appendAnnotations appends an object, or null for nil, its names sorted so that equal requests are
// equal texts.
func appendAnnotations(text []byte, annotations map[string]string) []byte {
	if annotations == nil {
		return append(text, "null"...)
	}
	text = append(text, '{')
	for i, name := range slices.Sorted(maps.Keys(annotations)) {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendMember(text, name, annotations[name])
	}
	return append(text, '}')
}

func appendArray[T any](text []byte, elements []T, appendOne func([]byte, T) []byte) []byte {
	text = append(text, '[')
	for i, element := range elements {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendOne(text, element)
	}
	return append(text, ']')
}

// appendBytes appends an array of numbers, as hosts take bytes.
func appendBytes(text, content []byte) []byte {
	return appendArray(text, content, func(text []byte, b byte) []byte { return strconv.AppendUint(text, uint64(b), 10) })
}
