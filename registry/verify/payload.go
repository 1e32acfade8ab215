package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/oci"
	simplesigning "github.com/sigstore/sigstore/pkg/signature/payload"
)

// claims is what a simple-signing payload says, as far as anything is decided by it. Its docker-reference and type are
// not among it, here as in Kubewarden and cosign: signatures move along when images are mirrored.
//
//	{"critical":{"identity":{"docker-reference":"ghcr.io/alice/policy"},
//	             "image":{"docker-manifest-digest":"sha256:eb47…"},
//	             "type":"cosign container image signature"},
//	 "optional":{"env":"prod"}}
type claims struct {
	digest      string
	annotations map[string]string // of "optional", those that are text, numbers or booleans
}

// verifyClaims reads the payload of sig, whose signature was verified, and checks that it is about digest.
func verifyClaims(sig oci.Signature, digest v1.Hash) (claims, error) {
	payload, err := sig.Payload()
	if err != nil {
		return claims{}, err
	}
	said, err := parseClaims(payload)
	if err != nil {
		return claims{}, err
	}
	if said.digest != digest.String() {
		return claims{}, fmt.Errorf("payload is for another digest: %.100q", said.digest)
	}
	return said, nil
}

func parseClaims(payload []byte) (claims, error) {
	var document struct {
		Critical simplesigning.Critical     `json:"critical"`
		Optional map[string]json.RawMessage `json:"optional"`
	}
	if err := json.Unmarshal(payload, &document); err != nil {
		return claims{}, fmt.Errorf("payload is not simple signing JSON: %w", err)
	}
	said := claims{digest: document.Critical.Image.DockerManifestDigest, annotations: map[string]string{}}
	for key, value := range document.Optional {
		if text, ok := scalarText(value); ok {
			said.annotations[key] = text
		}
	}
	return said, nil
}

// scalarText returns what an annotation is compared as: a string as it is, a number or boolean as it was written.
func scalarText(value json.RawMessage) (string, bool) {
	switch value[0] {
	case '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err == nil
	case '{', '[', 'n':
		return "", false
	}
	return string(value), true
}

// hold reports each of the wanted annotations that the payload lacks or has with another value.
func (c claims) hold(wanted map[string]string) error {
	var missing []error
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		switch got, ok := c.annotations[key]; {
		case !ok:
			missing = append(missing, fmt.Errorf("Annotation not satisfied: %q: want %q, got none", key, wanted[key]))
		case got != wanted[key]:
			missing = append(missing, fmt.Errorf("Annotation not satisfied: %q: want %q, got %.100q", key, wanted[key], got))
		}
	}
	return errors.Join(missing...)
}
