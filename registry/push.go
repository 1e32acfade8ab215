package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const emptyConfig = "{}"

// Push uploads a module as the single layer of an image manifest and tags it as ref says.
// Annotations are the policy's; those ManifestAnnotations drops are not pushed. The digest is
// computed here, from the manifest's canonical JSON: the same module and annotations have the same
// digest everywhere. A registry that names another one for what it stored is an error. The error is
// a *PushError.
func (c *Client) Push(ctx context.Context, ref Reference, module []byte, annotations map[string]string) (name.Digest, error) {
	digest, err := c.push(ctx, ref, module, annotations)
	if err != nil {
		return name.Digest{}, &PushError{Reference: ref, Err: Scrub(err)}
	}
	return digest, nil
}

func (c *Client) push(ctx context.Context, ref Reference, module []byte, annotations map[string]string) (name.Digest, error) {
	if ref.Scheme() != SchemeRegistry {
		return name.Digest{}, errPushDestination
	}
	if err := checkMagic(module); err != nil {
		return name.Digest{}, err
	}
	content, err := newPolicyManifest(module, annotations).canonicalJSON()
	if err != nil {
		return name.Digest{}, err
	}
	destination := ref.image.reference()
	digest := destination.Context().Digest(digestOf(content))
	if asked, ok := destination.(name.Digest); ok && asked.DigestStr() != digest.DigestStr() {
		return name.Digest{}, fmt.Errorf("the destination's digest is not the manifest's, which is %q", digest.DigestStr())
	}
	to, err := c.authenticate(ctx, destination.Context(), transport.PushScope)
	if err != nil {
		return name.Digest{}, err
	}
	// Registries refuse a manifest whose blobs they do not have yet.
	for _, blob := range [][]byte{[]byte(emptyConfig), module} {
		if err := to.upload(ctx, blob); err != nil {
			return name.Digest{}, err
		}
	}
	return digest, to.putManifest(ctx, destination.Identifier(), content)
}

// ManifestAnnotations returns the annotations of a policy's metadata that its manifest gets: the
// single-line ones, without surrounding white space, and org.opencontainers.image.source from
// io.kubewarden.policy.source. Dropped names the others, sorted.
func ManifestAnnotations(metadata map[string]string) (annotations map[string]string, dropped []string) {
	annotations = map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		// One line break may end the line.
		if strings.Contains(strings.TrimSuffix(metadata[key], "\n"), "\n") {
			dropped = append(dropped, key)
			continue
		}
		annotations[key] = strings.TrimSpace(metadata[key])
	}
	const source, ociSource = "io.kubewarden.policy.source", "org.opencontainers.image.source"
	if from, ok := annotations[source]; ok {
		if _, given := annotations[ociSource]; !given {
			annotations[ociSource] = from
		}
	}
	return annotations, dropped
}

// policyManifest is the manifest of a policy, its fields in the order canonical JSON wants. It
// names no media type of its own, since Kubewarden's does not, and the two must have the same
// digest.
type policyManifest struct {
	Annotations   map[string]string `json:"annotations,omitempty"`
	Config        descriptor        `json:"config"`
	Layers        []descriptor      `json:"layers"`
	SchemaVersion int               `json:"schemaVersion"`
}

func newPolicyManifest(module []byte, metadata map[string]string) policyManifest {
	annotations, _ := ManifestAnnotations(metadata)
	return policyManifest{
		Annotations:   annotations,
		Config:        descriptor{Digest: digestOf([]byte(emptyConfig)), MediaType: wasmConfigType, Size: int64(len(emptyConfig))},
		Layers:        []descriptor{{Digest: digestOf(module), MediaType: wasmLayerType, Size: int64(len(module))}},
		SchemaVersion: 2,
	}
}

// canonicalJSON encodes without white space, keys sorted, nothing escaped that need not be.
func (m policyManifest) canonicalJSON() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}
