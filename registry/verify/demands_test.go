package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	cosigntypes "github.com/sigstore/cosign/v2/pkg/types"

	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

func TestParseDemands(t *testing.T) {
	const alice = `{"kind":"genericIssuer","issuer":"https://accounts.example.com","subject":{"equal":"alice@example.com"}}`
	many := "[" + strings.Repeat(alice+",", 64) + alice + "]"
	for name, c := range map[string]struct{ signatures, attestations, want string }{
		"signatures":              {`{"anyOf":[` + alice + `]}`, ``, ""},
		"attestations":            {``, `[{"predicateType":"https://slsa.dev/provenance/v1","required":2,"anyOf":[` + alice + `]}]`, ""},
		"null is absent":          {`null`, `[{"predicateType":"t","anyOf":[` + alice + `],"required":null}]`, ""},
		"tabs, escapes, emoji":    {"{\t\"anyOf\":\t[{\"kind\":\"githubAction\",\"owner\":\"\\/\\ud83d\\ude00\"}]}", ``, ""},
		"nothing":                 {``, ``, "neither signatures nor attestations are asked for"},
		"nothing, spelt out":      {`null`, `[]`, "neither signatures nor attestations are asked for"},
		"not JSON":                {`{`, ``, "signatures: not JSON"},
		"a list":                  {`[]`, ``, "signatures: want a mapping, got a list"},
		"no alternatives":         {`{"required":1}`, ``, "signatures.anyOf: missing"},
		"empty alternatives":      {`{"anyOf":[]}`, ``, "signatures.anyOf: empty; list at least one constraint"},
		"too many alternatives":   {`{"anyOf":` + many + `}`, ``, "signatures.anyOf: 65 elements; want at most 64"},
		"alternatives as object":  {`{"anyOf":{}}`, ``, "signatures.anyOf: want a list, got a mapping"},
		"misspelt":                {`{"anyOf":[` + alice + `],"requird":2}`, ``, "signatures.requird: unknown field; known: required, anyOf"},
		"twice":                   {`{"anyOf":[` + alice + `],"required":1,"required":2}`, ``, "signatures.required: duplicate key"},
		"met by everything":       {`{"anyOf":[` + alice + `],"required":0}`, ``, "signatures.required: 0; want 1 to 64, the number of signatures looked at"},
		"met by nothing":          {`{"anyOf":[` + alice + `],"required":65}`, ``, "signatures.required: 65; want 1 to 64, the number of signatures looked at"},
		"half a signer":           {`{"anyOf":[` + alice + `],"required":1.5}`, ``, "signatures.required: want a whole number, got the number 1.5"},
		"no such kind":            {`{"anyOf":[{"kind":"notary"}]}`, ``, `signatures.anyOf[0].kind: unknown kind "notary"; want pubKey, genericIssuer, githubAction or certificate`},
		"bad key":                 {`{"anyOf":[{"kind":"pubKey","key":"x"}]}`, ``, "signatures.anyOf[0].key: no PEM block; want -----BEGIN PUBLIC KEY-----"},
		"bad expression":          {`{"anyOf":[{"kind":"genericIssuer","issuer":"i","subject":{"regex":"("}}]}`, ``, "signatures.anyOf[0].subject.regex: error parsing regexp: missing closing ): `(`"},
		"reserved annotation":     {`{"anyOf":[{"kind":"githubAction","owner":"o","annotations":{"creator":"me"}}]}`, ``, "signatures.anyOf[0].annotations.creator: reserved by the signature format; no signature could ever meet it"},
		"number as annotation":    {`{"anyOf":[{"kind":"githubAction","owner":"o","annotations":{"build":1}}]}`, ``, `signatures.anyOf[0].annotations.build: want a string, got the number 1; write "1" in quotes`},
		"attestations as object":  {``, `{}`, "attestations: want a list, got a mapping"},
		"attestations of nothing": {``, `[{"anyOf":[` + alice + `]}]`, "attestations[0].predicateType: missing"},
		"attestations of signing": {``, `[{"predicateType":"https://sigstore.dev/cosign/sign/v1","anyOf":[` + alice + `]}]`, `attestations[0].predicateType: "https://sigstore.dev/cosign/sign/v1" is what image signatures are; ask for them under signatures`},
		"too many attestations":   {``, "[" + strings.Repeat(`{"predicateType":"t","anyOf":[`+alice+`]},`, 16) + `{"predicateType":"t","anyOf":[` + alice + `]}]`, "attestations: 17 elements; want at most 16"},
		"everything at once":      {`{"anyOf":[{"kind":"pubKey"}]}`, `[1,{"predicateType":"t"}]`, "signatures.anyOf[0].key: missing\nattestations[0]: want a mapping, got the number 1\nattestations[1].anyOf: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := verify.ParseDemands(raw(c.signatures), raw(c.attestations))
			if (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// A value that code made, and not ParseDemands, is met by nothing rather than by everything.
func TestDemands_zero(t *testing.T) {
	r := newRegistry(t)
	d := r.push(t)
	for name, demands := range map[string]verify.Demands{
		"nothing":         {},
		"no constraints":  {Signatures: &verify.AnyOf{}},
		"no attestations": {Attestations: []verify.AttestationDemand{{PredicateType: slsaType}}},
	} {
		if found, err := demands.Verify(t.Context(), d, verify.Options{Remote: r.options}); err == nil {
			t.Errorf("%s: met, with %+v", name, found)
		}
	}
}

// raw is nil for what is absent.
func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

func FuzzParseDemands(f *testing.F) {
	f.Add([]byte(`{"required":2,"anyOf":[{"kind":"githubAction","owner":"acme","repo":"app"}]}`), []byte(`null`))
	f.Add([]byte(`null`), []byte(`[{"predicateType":"https://slsa.dev/provenance/v1","anyOf":[{"kind":"genericIssuer","issuer":"i","subject":{"regex":".*"}}]}]`))
	f.Add([]byte("{\"anyOf\":[{\"kind\":\"pubKey\",\"key\":\"-----BEGIN PUBLIC KEY-----\\n\"}]}"), []byte(``))
	f.Fuzz(func(t *testing.T, signatures, attestations []byte) {
		demands, err := verify.ParseDemands(signatures, attestations)
		if err == nil && demands.Signatures == nil && len(demands.Attestations) == 0 {
			t.Fatal("demands without any demand")
		}
	})
}

// referring is a canned registry whose one manifest is also what refers to everything.
type referring struct {
	cannedRegistry
	t *testing.T
}

func (r referring) RoundTrip(req *http.Request) (*http.Response, error) {
	if !strings.Contains(req.URL.Path, "/referrers/") {
		return r.cannedRegistry.RoundTrip(req)
	}
	index := must[[]byte](r.t)(json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": []map[string]any{{
			"mediaType": types.OCIManifestSchema1, "size": len(r.manifest), "digest": hashOf(r.t, r.manifest).String(),
		}},
	}))
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {string(types.OCIImageIndex)}}, Request: req,
		Body: io.NopCloser(bytes.NewReader(index)), ContentLength: int64(len(index)),
	}, nil
}

func (r referring) options(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx), remote.WithTransport(r), remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
}

// FuzzAttestation puts any bytes in the place of an attestation, with any annotations around them.
func FuzzAttestation(f *testing.F) {
	authority := must[*sigstoretest.Authority](f)(sigstoretest.New())
	d := fuzzName(f)
	person := must[sigstoretest.Credential](f)(authority.Issue(alice()))
	s := attested(f, authority, person, d, slsaType, sigstoretest.How{})
	layer, err := s.EnvelopeLayer(slsaType)
	if err != nil {
		f.Fatal(err)
	}
	envelope := must[[]byte](f)(layer.Payload())
	annotations := must[map[string]string](f)(layer.Annotations())
	bundle := must[[]byte](f)(s.Bundle())
	f.Add(envelope, annotations[static.CertificateAnnotationKey], annotations[static.BundleAnnotationKey])
	f.Add(bundle, "", "")
	f.Add([]byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[]}`), "-----BEGIN", "{}")
	root := trustRoot(f, authority)
	asked := demand(slsaType, 1, aliceAsked(nil))
	f.Fuzz(func(t *testing.T, content []byte, certificate, logged string) {
		manifest := must[[]byte](t)(json.Marshal(map[string]any{
			"schemaVersion": 2, "mediaType": types.OCIManifestSchema1,
			"layers": []map[string]any{{
				"mediaType": cosigntypes.DssePayloadType, "size": len(content), "digest": hashOf(t, content).String(),
				"annotations": map[string]string{static.CertificateAnnotationKey: certificate, static.BundleAnnotationKey: logged},
			}, {
				"mediaType": sigstoretest.BundleType, "size": len(content), "digest": hashOf(t, content).String(),
			}},
		}))
		r := referring{cannedRegistry{manifest: manifest, blob: content}, t}
		found, err := asked.Verify(t.Context(), d, verify.Options{Remote: r.options, Trust: trust.Given(root)})
		if bytes.Equal(content, bundle) && err != nil {
			t.Fatalf("the bundle as it was made: %v", err)
		}
		if err == nil && !bytes.Equal(content, envelope) && !bytes.Contains(found.Attestations[0][0].Predicate, []byte("buildDefinition")) {
			t.Fatalf("attested: %s", fmt.Sprint(found))
		}
	})
}
