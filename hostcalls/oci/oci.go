// Package oci answers the host capabilities of namespace oci: what a registry says about an image.
package oci

import (
	"context"
	"encoding/json"
	"fmt"

	"policy-server/hostcalls"
	"policy-server/registry"
)

// ManifestDigest answers oci/v1/manifest_digest with what client's registries say.
//
//	request:  a JSON string, the image as users write it   "ghcr.io/acme/app:1"
//	response: {"digest": string}                            {"digest": "sha256:3ad2…"}
//
// The digest of a multi-platform image is its index's. Errors: the registry's, with the reference. Obeys ctx.
func ManifestDigest(client *registry.Client) hostcalls.Capability {
	return func(ctx context.Context, payload []byte) ([]byte, error) {
		var image string
		if err := json.Unmarshal(payload, &image); err != nil {
			return nil, fmt.Errorf("decode image reference: %w", err)
		}
		reference, err := registry.ParseReference("registry://" + image)
		if err != nil {
			return nil, &hostcalls.FailureError{Err: fmt.Errorf("Invalid OCI image reference: %w", err)}
		}
		digest, err := client.Digest(ctx, reference)
		if err != nil {
			return nil, &hostcalls.FailureError{Err: fmt.Errorf("Fail to interact with OCI registry: %w", err)}
		}
		return json.Marshal(struct {
			Digest string `json:"digest"`
		}{digest.DigestStr()})
	}
}
