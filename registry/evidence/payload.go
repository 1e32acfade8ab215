package evidence

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	simplesigning "github.com/sigstore/sigstore/pkg/signature/payload"
)

// Claims is what was signed, as far as anything is decided by it. The docker-reference and type of
// a simple-signing payload are not among it, here as in Kubewarden and cosign: signatures move
// along when images are mirrored.
//
//	{"critical":{"identity":{"docker-reference":"ghcr.io/alice/policy"},
//	             "image":{"docker-manifest-digest":"sha256:eb47…"},
//	             "type":"cosign container image signature"},
//	 "optional":{"env":"prod"}}
type Claims struct {
	digest      string
	annotations map[string]string // those that are text, numbers or booleans; of a payload, in "optional"
}

func parseClaims(payload []byte) (Claims, error) {
	var document struct {
		Critical simplesigning.Critical     `json:"critical"`
		Optional map[string]json.RawMessage `json:"optional"`
	}
	if err := json.Unmarshal(payload, &document); err != nil {
		return Claims{}, fmt.Errorf("payload is not simple signing JSON: %w", err)
	}
	if err := unambiguous(payload); err != nil {
		return Claims{}, fmt.Errorf("payload: %w", err)
	}
	return Claims{
		digest: document.Critical.Image.DockerManifestDigest, annotations: scalarTexts(document.Optional),
	}, nil
}

// scalarTexts returns the annotations that can be compared, as the texts they are compared as.
func scalarTexts(document map[string]json.RawMessage) map[string]string {
	texts := map[string]string{}
	for key, value := range document {
		if text, ok := scalarText(value); ok {
			texts[key] = text
		}
	}
	return texts
}

// scalarText returns what an annotation is compared as: a string as it is, a number or boolean as
// it was written.
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

// Hold reports each of the wanted annotations that the payload lacks or has with another value.
func (c Claims) Hold(wanted map[string]string) error {
	var missing []error
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		switch got, ok := c.annotations[key]; {
		case !ok:
			missing = append(missing, fmt.Errorf("%w: %q: want %q, got none", ErrAnnotation, key, wanted[key]))
		case got != wanted[key]:
			missing = append(missing, fmt.Errorf("%w: %q: want %q, got %.100q", ErrAnnotation, key, wanted[key], got))
		}
	}
	return errors.Join(missing...)
}
