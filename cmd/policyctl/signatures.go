package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"policy-server/registry"
)

// signatures is what lies beside a policy in its registry, as it is: nothing of it is verified.
type signatures struct {
	Legacy  *v1.Manifest   `json:"signatures,omitempty"` // under the tag sha256-….sig; nil when there is none
	Bundles []*v1.Manifest `json:"bundles,omitempty"`    // of Sigstore bundles that refer to the policy
}

// Bundles are told by their layer: some registries list referrers by another type than the manifest's own.
const bundleTypePrefix = "application/vnd.dev.sigstore.bundle"

// maxBundles is how many referrers are looked at: anybody who may push can add some.
const maxBundles = 64

func findSignatures(ctx context.Context, client *registry.Client, uri string) (signatures, error) {
	ref, err := registry.ParseReference(uri)
	if err != nil {
		return signatures{}, err
	}
	if ref.Scheme() != registry.SchemeRegistry {
		return signatures{}, errors.New("invalid uri")
	}
	digest, err := client.Digest(ctx, ref)
	if err != nil {
		return signatures{}, err
	}
	options := client.RemoteOptions(ctx)
	var found signatures
	tag := digest.Context().Tag(strings.Replace(digest.DigestStr(), ":", "-", 1) + ".sig")
	if found.Legacy, err = manifest(tag, options); err != nil && !isNotFound(err) {
		return signatures{}, err
	}
	found.Bundles, err = findBundles(digest, options)
	return found, err
}

func manifest(ref name.Reference, options []remote.Option) (*v1.Manifest, error) {
	found, err := remote.Get(ref, options...)
	if err != nil {
		return nil, err
	}
	return v1.ParseManifest(bytes.NewReader(found.Manifest))
}

func findBundles(digest name.Digest, options []remote.Option) ([]*v1.Manifest, error) {
	referrers, err := remote.Referrers(digest, options...)
	if err != nil {
		return nil, err
	}
	index, err := referrers.IndexManifest()
	if err != nil {
		return nil, err
	}
	var bundles []*v1.Manifest
	for _, entry := range index.Manifests[:min(len(index.Manifests), maxBundles)] {
		found, err := manifest(digest.Context().Digest(entry.Digest.String()), options)
		switch {
		case isNotFound(err): // the list outlives what it lists
		case err != nil:
			return nil, err
		case isBundle(found):
			bundles = append(bundles, found)
		}
	}
	return bundles, nil
}

func isBundle(manifest *v1.Manifest) bool {
	return slices.ContainsFunc(manifest.Layers, func(layer v1.Descriptor) bool {
		return strings.HasPrefix(string(layer.MediaType), bundleTypePrefix)
	})
}

func isNotFound(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// unsigned says in one line why there is nothing to print; "" when there is something.
func (s signatures) unsigned(err error) string {
	switch {
	case err != nil:
		return fmt.Sprintf("Cannot determine if the policy has been signed. There was an error while attempting to fetch its signatures from the remote registry: %v ", err)
	case s.Legacy == nil && len(s.Bundles) == 0:
		return "No sigstore signatures found"
	}
	return ""
}

// print prints the signatures for people, or why there are none to print.
func (s signatures) print(w io.Writer, err error) error {
	if reason := s.unsigned(err); reason != "" {
		_, err := fmt.Fprintf(w, "\n%s\n", printable(reason))
		return err
	}
	var out strings.Builder
	out.WriteString("\nSigstore signatures\n")
	manifests := s.Bundles
	if s.Legacy != nil {
		manifests = append([]*v1.Manifest{s.Legacy}, manifests...)
	}
	for _, manifest := range manifests {
		for _, layer := range manifest.Layers {
			annotations := maps.Clone(manifest.Annotations) // where bundles have theirs
			if annotations == nil {
				annotations = map[string]string{}
			}
			maps.Copy(annotations, layer.Annotations)
			out.WriteString("\n")
			writeRows(&out, signatureRows(layer, annotations))
		}
	}
	_, err = io.WriteString(w, printable(out.String())+"\n")
	return err
}

func signatureRows(layer v1.Descriptor, annotations map[string]string) []detail {
	rows := []detail{
		{"Digest: ", layer.Digest.String()},
		{"Media type: ", string(layer.MediaType)},
		{"Size: ", strconv.FormatInt(layer.Size, 10)},
	}
	if len(annotations) > 0 {
		rows = append(rows, detail{key: "Annotations"})
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		rows = append(rows, detail{key, annotations[key]})
	}
	return rows
}

// printYAML prints the manifests below keys of the metadata document. Why there are none goes to stderr: it is no YAML.
func (s signatures) printYAML(stdout, stderr io.Writer, err error) error {
	if reason := s.unsigned(err); reason != "" {
		_, err := fmt.Fprintln(stderr, printable(reason))
		return err
	}
	document, err := json.Marshal(s)
	if err != nil {
		return err
	}
	text, err := yamlOf(document)
	if err != nil {
		return err
	}
	_, err = stdout.Write(text)
	return err
}
