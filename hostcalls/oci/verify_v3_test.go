package oci_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/hostcalls/oci"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
)

// Predicates as they are attested, in short.
const (
	provenance = `{"buildDefinition":{"buildType":"https://actions.github.io/buildtypes/workflow/v1","externalParameters":{"n":12345678901234567890}},"runDetails":{"builder":{"id":"https://github.com/octocat/ci/.github/workflows/build.yml@refs/heads/main"}}}`
	spdx       = `{"spdxVersion":"SPDX-2.3","name":"app","packages":[{"name":"openssl","versionInfo":"3.0.13"}]}`
	slsaType   = "https://slsa.dev/provenance/v1"
	spdxType   = "https://spdx.dev/Document"
)

// attest attaches a statement in either layout.
func (s *site) attest(t testing.TB, d name.Digest, layout evidence.Layout, by sigstoretest.Credential, predicateType, predicate string) {
	t.Helper()
	statement, err := sigstoretest.Attested(d, predicateType, []byte(predicate))
	if err != nil {
		t.Fatal(err)
	}
	signature, err := s.authority.SignStatement(by, statement, sigstoretest.How{})
	if err != nil {
		t.Fatal(err)
	}
	if layout == evidence.LayoutLegacy {
		layer, err := signature.EnvelopeLayer(predicateType)
		if err == nil {
			err = sigstoretest.AttachAttestation(t.Context(), d, layer)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	bundle, err := signature.Bundle()
	if err == nil {
		err = sigstoretest.AttachReferrer(t.Context(), d, bundle, map[string]string{"dev.sigstore.bundle.predicateType": predicateType})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// attestedSite has image "app": signed by a key and by alice, with provenance by a workflow and by
// alice, and an SBOM by the key.
type attestedSite struct {
	*site
	key                                sigstoretest.Credential
	byKey, byAlice, byOwner, byAnybody fields // constraints
}

func newAttested(t *testing.T) *attestedSite {
	s := &attestedSite{site: newSite(t), key: newKey(t)}
	d := s.pushIndex(t, "app")
	alices := s.issue(t, sigstoretest.Identity{Email: alice, Issuer: emailIssuer})
	workflow := s.issue(t, sigstoretest.Workflow("octocat/app"))
	s.sign(t, d, s.key, unlogged, map[string]string{"env": "prod"})
	s.signBundle(t, d, alices, sigstoretest.How{}, nil)
	s.attest(t, d, evidence.LayoutLegacy, workflow, slsaType, provenance)
	s.attest(t, d, evidence.LayoutBundle, alices, slsaType, provenance)
	s.attest(t, d, evidence.LayoutBundle, s.key, spdxType, spdx)
	s.byKey = fields{"kind": "pubKey", "key": pems(s.key)[0]}
	s.byAlice = fields{"kind": "genericIssuer", "issuer": emailIssuer, "subject": fields{"equal": alice}}
	s.byOwner = fields{"kind": "githubAction", "owner": "octocat"}
	s.byAnybody = fields{"kind": "genericIssuer", "issuerRegex": ".*", "subject": fields{"regex": ".*"}}
	return s
}

func signatures(required int, anyOf ...fields) fields {
	return fields{"required": required, "anyOf": anyOf}
}

func attestations(predicateType string, required int, anyOf ...fields) fields {
	return fields{"predicateType": predicateType, "required": required, "anyOf": anyOf}
}

func TestVerifyV3(t *testing.T) {
	s := newAttested(t)
	type who struct {
		Constraint      int
		Layout, Subject string
		Key             bool
	}
	byKey := who{0, "legacy", "", true}
	workflow := sigstoretest.Workflow("octocat/app").URI
	for name, c := range map[string]struct {
		request    fields
		signers    []who
		attested   []string // "demand type"
		attestedBy [][]who
	}{
		"a key":                   {fields{"signatures": signatures(1, s.byKey)}, []who{byKey}, nil, nil},
		"all that met":            {fields{"signatures": signatures(1, s.byKey, s.byAlice)}, []who{byKey, {1, "bundle", alice, false}}, nil, nil},
		"two of two":              {fields{"signatures": signatures(2, s.byAlice, s.byKey)}, []who{{0, "bundle", alice, false}, {1, "legacy", "", true}}, nil, nil},
		"the first one met":       {fields{"signatures": signatures(1, s.byOwner, s.byAnybody, s.byAlice)}, []who{{1, "bundle", alice, false}}, nil, nil},
		"two by one alternative":  {fields{"attestations": []fields{attestations(slsaType, 2, s.byAnybody)}}, []who{}, []string{"0 " + slsaType}, [][]who{{{0, "legacy", workflow, false}, {0, "bundle", alice, false}}}},
		"one of two who attested": {fields{"attestations": []fields{attestations(slsaType, 1, s.byOwner)}, "signatures": nil}, []who{}, []string{"0 " + slsaType}, [][]who{{{0, "legacy", workflow, false}}}},
		"several": {fields{"signatures": signatures(1, s.byKey), "attestations": []fields{attestations(spdxType, 1, s.byKey), attestations(slsaType, 1, s.byAlice)}},
			[]who{byKey}, []string{"0 " + spdxType, "1 " + slsaType}, [][]who{{{0, "bundle", "", true}}, {{0, "bundle", alice, false}}}},
	} {
		t.Run(name, func(t *testing.T) {
			c.request["image"] = s.image("app")
			text, err := calls(t.Context(), s.verifier(t, oci.CacheConfig{}).V3, encode(t, c.request))
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				IsTrusted  bool   `json:"is_trusted"`
				Digest     string `json:"digest"`
				Signatures []struct {
					Constraint           int
					Layout, Key, Subject string
				}
				Attestations []struct {
					Demand        int
					PredicateType string
					Predicate     json.RawMessage
					Signers       []struct {
						Constraint           int
						Layout, Key, Subject string
					}
				}
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if !got.IsTrusted || got.Digest != s.digestOf(t, s.image("app")) {
				t.Errorf("%t, %s", got.IsTrusted, got.Digest)
			}
			signers := []who{}
			for _, s := range got.Signatures {
				signers = append(signers, who{s.Constraint, s.Layout, s.Subject, s.Key != ""})
			}
			if !reflect.DeepEqual(signers, c.signers) {
				t.Errorf("signed by %+v, want %+v", signers, c.signers)
			}
			var attested []string
			var attestedBy [][]who
			for _, a := range got.Attestations {
				attested = append(attested, fmt.Sprint(a.Demand, " ", a.PredicateType))
				if want := map[string]string{slsaType: provenance, spdxType: spdx}[a.PredicateType]; string(a.Predicate) != want {
					t.Errorf("predicate %s, want %s", a.Predicate, want)
				}
				var by []who
				for _, s := range a.Signers {
					by = append(by, who{s.Constraint, s.Layout, s.Subject, s.Key != ""})
				}
				attestedBy = append(attestedBy, by)
			}
			if !reflect.DeepEqual(attested, c.attested) || !reflect.DeepEqual(attestedBy, c.attestedBy) {
				t.Errorf("attested %q by %+v, want %q by %+v", attested, attestedBy, c.attested, c.attestedBy)
			}
		})
	}
}

// TestVerifyV3_document holds every key of a signer.
func TestVerifyV3_document(t *testing.T) {
	s, key := newSite(t), newKey(t)
	d := s.push(t, "app")
	s.sign(t, d, s.issue(t, sigstoretest.Workflow("octocat/app")), sigstoretest.How{}, map[string]string{"env": "prod"})
	s.sign(t, d, key, unlogged, nil)
	request := encode(t, fields{"image": s.image("app"), "signatures": signatures(2,
		fields{"kind": "githubAction", "owner": "octocat"}, fields{"kind": "pubKey", "key": pems(key)[0]})})
	text, err := calls(t.Context(), s.verifier(t, oci.CacheConfig{}).V3, request)
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Signatures []map[string]any }
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	logged := got.Signatures[0]
	index, okIndex := logged["logIndex"].(float64)
	signedAt, okTime := logged["signedAt"].(string)
	if !okIndex || index < 1 || !okTime || !strings.HasSuffix(signedAt, "Z") {
		t.Errorf("logged as %v at %v", logged["logIndex"], logged["signedAt"])
	}
	delete(logged, "logIndex")
	delete(logged, "signedAt")
	public, err := evidence.ParsePublicKey(key.Signer.PublicKeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"constraint": 0., "layout": "legacy", "annotations": map[string]any{"env": "prod"},
		"issuer": sigstoretest.GitHubIssuer, "subject": sigstoretest.Workflow("octocat/app").URI,
		"github": map[string]any{
			"repository": "octocat/app", "ref": "refs/tags/v1", "sha": "0123456789abcdef0123456789abcdef01234567",
			"trigger": "push", "workflow": "Release",
		},
	}, {"constraint": 1., "layout": "legacy", "key": public.Fingerprint(), "annotations": map[string]any{}}}
	if !reflect.DeepEqual(got.Signatures, want) {
		t.Errorf("got  %v\nwant %v", got.Signatures, want)
	}
}

func TestVerifyV3_refuses(t *testing.T) {
	s := newAttested(t)
	s.push(t, "unsigned")
	image := s.image("app")
	const failed = "Callback evaluation failure: "
	for name, c := range map[string]struct {
		request fields
		want    string // the beginning, and after a "…" what follows somewhere
	}{
		"nothing asked":          {fields{"image": image}, failed + "invalid request: neither signatures nor attestations are asked for"},
		"misspelt":               {fields{"image": image, "attestation": []fields{}, "signatures": signatures(1, s.byKey)}, failed + `invalid request: "attestation": unknown field; known: image, signatures, attestations`},
		"all faults":             {fields{"images": image, "signatures": signatures(0, fields{"kind": "pubKey", "key": ""})}, failed + "invalid request: \"images\": unknown field; known: image, signatures, attestations\nmissing field `image`\nsignatures.required: 0; want 1 to 64…\nsignatures.anyOf[0].key: empty"},
		"bad reference":          {fields{"image": "UPPER", "signatures": signatures(1, s.byKey)}, failed + "Invalid OCI image reference: invalid reference format"},
		"no such image":          {fields{"image": s.image("none"), "signatures": signatures(1, s.byKey)}, failed + "failed to get image trusted layers: Cannot fetch manifest of " + s.image("none") + ": "},
		"unsigned":               {fields{"image": s.image("unsigned"), "signatures": signatures(1, s.byKey)}, failed + "no signatures found for image: " + s.image("unsigned") + " "},
		"unattested":             {fields{"image": s.image("unsigned"), "attestations": []fields{attestations(slsaType, 1, s.byKey)}}, failed + "Image verification failed: attestation " + slsaType + ": minimum number of signatures not reached: needed 1 by distinct signers, got 0\nThe following constraints were not satisfied:\nkind: pubKey\n…no attestations found for image: "},
		"one alternative by two": {fields{"image": image, "signatures": signatures(2, s.byAlice, s.byAnybody)}, failed + "Image verification failed: minimum number of signatures not reached: needed 2 by distinct signers, got 1\n"},
		"the wrong signer":       {fields{"image": image, "signatures": signatures(1, s.byOwner)}, failed + "Image verification failed: minimum number of signatures not reached: needed 1 by distinct signers, got 0\nThe following constraints were not satisfied:\nkind: githubAction\nowner: octocat\nrepo: null\nannotations: null\nsignatures.anyOf[0]: signature 0 (…wrong identity: not issued to GitHub Actions: got subject \"alice@example.com\""},
		"the wrong attester":     {fields{"image": image, "attestations": []fields{attestations(slsaType, 1, s.byAlice), attestations(spdxType, 1, s.byAlice)}}, failed + "Image verification failed: attestation " + spdxType + ": minimum …attestations[1].anyOf[0]: bundle …not keyless: no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := calls(t.Context(), s.verifier(t, oci.CacheConfig{}).V3, encode(t, c.request))
			beginning, rest, _ := strings.Cut(c.want, "…")
			if err == nil || got != nil || !strings.HasPrefix(err.Error(), beginning) {
				t.Fatalf("got %s, %v\nwant %s", got, err, c.want)
			}
			for more := range strings.SplitSeq(rest, "…") {
				if !strings.Contains(err.Error(), more) {
					t.Errorf("got %v\nwant %s", err, more)
				}
			}
		})
	}
	v := oci.NewImageVerifier(s.client(t), trust.Source{}, oci.CacheConfig{}, zap.NewNop())
	t.Cleanup(v.Close)
	_, err := calls(t.Context(), v.V3, encode(t, fields{"image": image, "signatures": signatures(1, s.byAlice)}))
	if want := failed + "Image verification failed: the constraints need a Sigstore trust root, which is not there: none is configured"; err == nil || err.Error() != want {
		t.Errorf("without a trust root: %v", err)
	}
}

func TestVerifyV3_remembers(t *testing.T) {
	s := newAttested(t)
	v := s.verifier(t, remembering)
	asked := fields{"image": s.image("app"), "signatures": signatures(1, s.byKey), "attestations": []fields{attestations(spdxType, 1, s.byKey)}}
	first, err := calls(t.Context(), v.V3, encode(t, asked))
	if err != nil {
		t.Fatal(err)
	}
	s.forget()
	spelt := strings.NewReplacer(`"required":1`, `"required" : 1`, `"attestations":`, "\n\t\"attestations\":").Replace(string(encode(t, asked)))
	second, err := calls(t.Context(), v.V3, []byte(spelt))
	if err != nil || string(second) != string(first) || s.requests.Load() != 0 {
		t.Errorf("asked in other white space: %v, %d requests", err, s.requests.Load())
	}
	asked["attestations"] = []fields{attestations(slsaType, 1, s.byKey)}
	if _, err := calls(t.Context(), v.V3, encode(t, asked)); err == nil || s.requests.Load() == 0 {
		t.Error("another demand was answered as this one")
	}
}
