package sdktest

import (
	"errors"
	"slices"

	"policy-server/sdk"
)

// Images are the signed images of a test, by the references that the policy asks about. Host
// answers from them.
type Images map[string]Image

// Image is what oci/v1/verify, oci/v2/verify and oci/v3/verify say of an image, for any signer.
type Image struct {
	Digest       string    // "sha256:…"
	Signatures   sdk.Value // as version 3 answers them; missing: []
	Attestations sdk.Value // likewise
}

// Host returns a host that answers calls about images' signatures: the images in i are signed as is
// asked, all others are not signed. Other calls go to next; a nil one swallows tracing/log and
// refuses everything else.
func (i Images) Host(next Host) Host {
	return func(namespace, operation string, payload sdk.Value) (sdk.Value, error) {
		if namespace != "oci" || !slices.Contains([]string{"v1/verify", "v2/verify", "v3/verify"}, operation) {
			answer, err := next.answer(namespace, operation, payload.Raw())
			return sdk.JSON(answer), err
		}
		fields := payload
		if operation == "v1/verify" { // one member, the variant, with the fields inside
			for _, inside := range payload.Fields() {
				fields = inside
			}
		}
		reference, _ := fields.Get("image").Text()
		image, signed := i[reference]
		if !signed {
			return sdk.Value{}, errors.New("Callback evaluation failure: no signatures found for image: " + reference + " ")
		}
		text := `{"is_trusted":true,"digest":` + sdk.Quote(image.Digest).Raw()
		if operation == "v3/verify" {
			text += `,"signatures":` + list(image.Signatures) + `,"attestations":` + list(image.Attestations)
		}
		return sdk.JSON(text + "}"), nil
	}
}

// list is the text of v, of an empty list when it is missing.
func list(v sdk.Value) string {
	if !v.Exists() {
		return "[]"
	}
	return v.Raw()
}
