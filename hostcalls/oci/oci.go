// Package oci answers the host capabilities of namespace oci: what a registry says about an image,
// and who signed it.
package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"policy-server/flight"
	"policy-server/hostcalls"
	"policy-server/registry"
)

// An answer is remembered for as long as policies know, and what is remembered by one capability is
// bounded: a manifest or a config may have megabytes, and which images are asked about is often for
// the author of a request to say.
const (
	remember      = time.Minute
	rememberBytes = 32 << 20
)

// Capabilities returns what answers the capabilities about manifests, asking client's registries.
func Capabilities(client *registry.Client) []hostcalls.Capability {
	return []hostcalls.Capability{
		{Path: hostcalls.OCIManifestDigest, Understand: about("OciManifestDigest", client, manifestDigest)},
		{Path: hostcalls.OCIManifest, Understand: about("OciManifest", client, manifest)},
		{Path: hostcalls.OCIManifestConfig, Understand: about("OciManifestAndConfig", client, manifestConfig)},
	}
}

// inquiry asks client about one image. Its error is the registry's, with the reference.
type inquiry func(ctx context.Context, client *registry.Client, image registry.Reference) ([]byte, error)

// about makes a capability of an inquiry. Its request is a JSON string, the image as users write
// it: "ghcr.io/acme/app:1". Successes are remembered under exactly that text.
func about(variant string, client *registry.Client, ask inquiry) hostcalls.Understanding {
	answers := flight.NewMemo(flight.MemoConfig[string, []byte]{
		Lifetime: remember, Limit: rememberBytes, Cost: func(image string, answer []byte) int { return len(image) + len(answer) },
	})
	return func(payload []byte) (hostcalls.Request, error) {
		var image string
		if err := json.Unmarshal(payload, &image); err != nil {
			return hostcalls.Request{}, fmt.Errorf("decode image reference: %w", err)
		}
		return hostcalls.Request{
			Question: hostcalls.Question{Variant: variant, Fields: hostcalls.Fields{{Name: "image", Value: image}}},
			Perform: func(ctx context.Context) ([]byte, error) {
				return answers.Do(ctx, image, func(ctx context.Context) ([]byte, error) {
					reference, err := registry.ParseReference("registry://" + image)
					if err != nil {
						return nil, invalidReference(err)
					}
					answer, err := ask(ctx, client, reference)
					if err != nil {
						return nil, fmt.Errorf("Fail to interact with OCI registry: %w", err)
					}
					return answer, nil
				})
			},
		}, nil
	}
}

// manifestDigest answers oci/v1/manifest_digest.
//
//	response: {"digest": string}   {"digest": "sha256:3ad2…"}
//
// The digest of a multi-platform image is its index's.
func manifestDigest(ctx context.Context, client *registry.Client, image registry.Reference) ([]byte, error) {
	digest, err := client.Digest(ctx, image)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Digest string `json:"digest"`
	}{digest.DigestStr()})
}

// manifest answers oci/v1/oci_manifest.
//
//	response: the image manifest, or the image index of a multi-platform image, as the registry has it
//
// A manifest that does not name its own mediaType gets the one the registry sent it with: guests
// tell manifests from indexes by it.
func manifest(ctx context.Context, client *registry.Client, image registry.Reference) ([]byte, error) {
	found, err := client.Manifest(ctx, image)
	if err != nil {
		return nil, err
	}
	return withMediaType(found)
}

// manifestConfig answers oci/v1/oci_manifest_config.
//
//	response: {"manifest": object, "digest": string, "config": any}
//
// Of a multi-platform image these are of the image for the server's own platform. config is what
// the config blob holds: for containers the image configuration, for policies {}.
func manifestConfig(ctx context.Context, client *registry.Client, image registry.Reference) ([]byte, error) {
	found, config, err := client.ImageConfig(ctx, image)
	if err != nil {
		return nil, err
	}
	document, err := withMediaType(found)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Manifest json.RawMessage `json:"manifest"`
		Digest   string          `json:"digest"`
		Config   json.RawMessage `json:"config"`
	}{document, found.Digest.DigestStr(), config})
}

func withMediaType(found registry.Manifest) ([]byte, error) {
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(found.Content, &members); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	if _, ok := members["mediaType"]; ok || found.MediaType == "" {
		return found.Content, nil
	}
	mediaType, err := json.Marshal(found.MediaType)
	if err != nil {
		return nil, err
	}
	members["mediaType"] = mediaType
	return json.Marshal(members)
}
