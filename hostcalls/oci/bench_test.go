package oci_test

import (
	"testing"

	"go.uber.org/zap"

	"policy-server/hostcalls/oci"
	"policy-server/internal/testing/sigstoretest"
	"policy-server/registry/evidence"
)

// BenchmarkVerify measures a host call and, for a pod of eight containers of one image, an
// evaluation's: when nothing is known, when everything is, and when nothing was known before the
// first container.
func BenchmarkVerify(b *testing.B) {
	s, key := newSite(b), newKey(b)
	d := s.push(b, "app")
	person := s.issue(b, sigstoretest.Identity{Email: alice, Issuer: emailIssuer})
	s.sign(b, d, key, unlogged, nil)
	s.signBundle(b, d, person, sigstoretest.How{}, nil)
	s.attest(b, d, evidence.LayoutBundle, person, slsaType, provenance)
	byAlice := fields{"kind": "genericIssuer", "issuer": emailIssuer, "subject": fields{"equal": alice}}
	for _, c := range []struct {
		name    string
		version int
		request []byte
	}{
		{"key", 2, keyed(b, s.image("app"), key)},
		{"keyless", 2, encode(b, fields{"type": "SigstoreKeylessVerify", "image": s.image("app"), "keyless": []fields{{"issuer": emailIssuer, "subject": alice}}})},
		{"attestation", 3, encode(b, fields{"image": s.image("app"), "attestations": []fields{attestations(slsaType, 1, byAlice)}})},
	} {
		calls := func(b *testing.B, v *oci.ImageVerifier, containers int) {
			call := map[int]func(*oci.ImageVerifier) error{
				2: func(v *oci.ImageVerifier) error { _, err := calls(b.Context(), v.V2, c.request); return err },
				3: func(v *oci.ImageVerifier) error { _, err := calls(b.Context(), v.V3, c.request); return err },
			}[c.version]
			for range containers {
				if err := call(v); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.Run("by="+c.name+"/state=cold/containers=1", func(b *testing.B) {
			v := s.verifier(b, oci.CacheConfig{})
			b.ReportAllocs()
			for b.Loop() {
				calls(b, v, 1)
			}
		})
		b.Run("by="+c.name+"/state=cached/containers=1", func(b *testing.B) {
			v := s.verifier(b, remembering)
			calls(b, v, 1)
			b.ReportAllocs()
			for b.Loop() {
				calls(b, v, 1)
			}
		})
		b.Run("by="+c.name+"/state=cold/containers=8", func(b *testing.B) {
			client, trust := s.client(b), s.trust(b)
			b.ReportAllocs()
			for b.Loop() {
				v := oci.NewImageVerifier(client, trust, remembering, zap.NewNop())
				calls(b, v, 8)
				v.Close()
			}
		})
	}
}
