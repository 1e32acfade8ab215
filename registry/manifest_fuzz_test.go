package registry

import "testing"

// FuzzManifest holds whatever a registry may send as manifest to what the readers of its fields
// rely on.
func FuzzManifest(f *testing.F) {
	digest := digestOf(nil)
	for _, seed := range []string{
		`{"schemaVersion":2,"layers":[{"mediaType":"application/wasm","digest":"` + digest + `","size":1}]}`,
		`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"` + digest + `","platform":{"os":"linux","architecture":"amd64"}}]}`,
		`{"schemaVersion":2,"layers":[],"manifests":[{}]}`, `{"schemaVersion":2,"layers":[{"digest":"sha512:00"}]}`, `[]`, `{"schemaVersion":1e999}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		// A registry may answer with the same again for the entry of an index: that ends too.
		if l, err := findLayer(content, func(string) ([]byte, error) { return content, nil }); err == nil && len(l.digest.Hex) != 64 {
			t.Errorf("found layer %+v", l)
		}
		m, err := parseManifest(content)
		if err != nil {
			return
		}
		if l, err := m.module(); err == nil && (l.digest.Algorithm != "sha256" || len(l.digest.Hex) != 64 || l.size < 0) {
			t.Errorf("got layer %+v", l)
		}
		if entry, err := m.entryFor("linux", "amd64"); err == nil && len(entry.Digest) != len(digest) {
			t.Errorf("got entry %+v", entry)
		}
	})
}
