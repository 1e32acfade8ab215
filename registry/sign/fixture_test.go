package sign_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"policy-server/internal/testing/sigstorehttp"
	"policy-server/registry/sign"
)

// published starts a registry, with the list of referrers that newer ones have or without, and
// returns the digest of an image in it.
func published(t *testing.T, options ...ociregistry.Option) name.Digest {
	t.Helper()
	server := httptest.NewServer(ociregistry.New(append(options, ociregistry.Logger(log.New(io.Discard, "", 0)))...))
	t.Cleanup(server.Close)
	return publishedAt(t, server.Listener.Addr().String())
}

func publishedAt(t *testing.T, host string) name.Digest {
	t.Helper()
	image, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(host + "/acme/pods:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(tag, image); err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return tag.Digest(digest.String())
}

func started(t *testing.T) *sigstorehttp.Services {
	t.Helper()
	services, err := sigstorehttp.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(services.Close)
	return services
}

// trustedRoot returns what those must trust who verify.
func trustedRoot(t *testing.T, services *sigstorehttp.Services) *root.TrustedRoot {
	t.Helper()
	document, err := services.Authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := root.NewTrustedRootFromJSON(document)
	if err != nil {
		t.Fatal(err)
	}
	return trusted
}

// signs signs d and expects to succeed.
func signs(t *testing.T, cfg sign.Config, d name.Digest, layout sign.Layout, annotations map[string]string) sign.Receipt {
	t.Helper()
	cfg.Remote = func(ctx context.Context) []remote.Option { return []remote.Option{remote.WithContext(ctx)} }
	signer, err := sign.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := signer.Sign(t.Context(), d, layout, annotations)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Digest != d || receipt.Layout != layout {
		t.Errorf("receipt %+v", receipt)
	}
	return receipt
}

// accepts reports whether cosign accepts the signature of d in layout, and only with the
// annotations.
func accepts(t *testing.T, d name.Digest, layout sign.Layout, options cosign.CheckOpts, annotations map[string]string) error {
	t.Helper()
	options.Offline = true
	if layout == sign.Legacy {
		options.ClaimVerifier = cosign.SimpleClaimVerifier
		options.Annotations = map[string]any{}
		for key, value := range annotations {
			options.Annotations[key] = value
		}
		found, logged, err := cosign.VerifyImageSignatures(t.Context(), d, &options)
		if err == nil && (len(found) != 1 || logged == options.IgnoreTlog) {
			t.Errorf("%d signatures, logged: %t", len(found), logged)
		}
		return err
	}
	hash, err := v1.NewHash(d.DigestStr())
	if err != nil {
		t.Fatal(err)
	}
	bundle := bundleOf(t, d)
	result, err := cosign.VerifyNewBundle(t.Context(), &options, verify.WithArtifactDigest(hash.Algorithm, mustDecode(t, hash.Hex)), bundle)
	if err != nil {
		return err
	}
	statement := result.Statement
	if got := statement.GetPredicateType(); got != "https://sigstore.dev/cosign/sign/v1" {
		t.Errorf("predicate type %q", got)
	}
	var signed map[string]string
	if given := statement.GetSubject()[0].GetAnnotations(); given != nil {
		document, err := json.Marshal(given)
		if err == nil {
			err = json.Unmarshal(document, &signed)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(signed, annotations) {
		return fmt.Errorf("annotations %v, want %v", signed, annotations)
	}
	return nil
}

// bundleOf returns the only bundle that refers to d.
func bundleOf(t *testing.T, d name.Digest) verify.SignedEntity {
	t.Helper()
	referrers, err := ociremote.Referrers(d, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(referrers.Manifests) != 1 {
		t.Fatalf("%d referrers", len(referrers.Manifests))
	}
	bundle, err := ociremote.Bundle(d.Context().Digest(referrers.Manifests[0].Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// layersOf returns the legacy signatures of d.
func layersOf(t *testing.T, d name.Digest) []oci.Signature {
	t.Helper()
	signatures, err := ociremote.SignedUnknown(d).Signatures()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := signatures.Get()
	if err != nil {
		t.Fatal(err)
	}
	return layers
}
