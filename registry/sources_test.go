package registry_test

import (
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"policy-server/registry"
)

func TestParseSources(t *testing.T) {
	ca := tlsServer(t).ca()
	inYAML := "\n      " + strings.ReplaceAll(strings.TrimSpace(string(ca)), "\n", "\n      ") + "\n"
	for _, test := range []struct {
		name, file string
		want       registry.Sources
		warnings   []string
	}{
		{name: "empty file"},
		{name: "comment only", file: "# nothing yet\n"},
		{name: "empty map", file: "{}"},
		{name: "nulls", file: "insecure_sources:\nsource_authorities: null\nproxies: ~\n"},
		{
			name: "hosts", file: "insecure_sources: [registry-dev.example.com, 'localhost:5000', 5000]",
			want:     registry.Sources{InsecureSources: []string{"registry-dev.example.com", "localhost:5000", "5000"}},
			warnings: []string{`insecure_sources[2]: "5000" matches no host, expected HOST or HOST:PORT`},
		},
		{
			name: "JSON", file: `{"insecure_sources": ["localhost:5000"]}`,
			want: registry.Sources{InsecureSources: []string{"localhost:5000"}},
		},
		{
			name: "authorities", file: "source_authorities:\n  a.com:\n  - type: Path\n    path: /pki/ca.pem\n  - type: Data\n    data: |" + inYAML,
			want: registry.Sources{SourceAuthorities: map[string][]registry.Authority{"a.com": {{Path: "/pki/ca.pem"}, {Data: ca}}}},
		},
		{
			name: "proxies", file: "proxies:\n  http_proxy: http://user:pw@proxy.corp:3128\n  https_proxy: proxy.corp:3129\n  no_proxy: localhost,.corp\n",
			want: registry.Sources{Proxies: &registry.Proxies{
				HTTPProxy: "http://user:pw@proxy.corp:3128", HTTPSProxy: "proxy.corp:3129", NoProxy: "localhost,.corp",
			}},
		},
		{name: "proxies left empty", file: "proxies: {}", want: registry.Sources{Proxies: &registry.Proxies{}}},
		{
			name: "unknown keys", file: "mirrors: []\nproxies: {ftp_proxy: x}\nsource_authorities:\n  a.com: [{type: Path, path: /ca, note: x}]\n",
			want: registry.Sources{
				Proxies:           &registry.Proxies{},
				SourceAuthorities: map[string][]registry.Authority{"a.com": {{Path: "/ca"}}},
			},
			warnings: []string{"mirrors: unknown key, ignored", "proxies.ftp_proxy: unknown key, ignored", "source_authorities.a.com[0].note: unknown key, ignored"},
		},
		{
			name: "aliases", file: "insecure_sources: &hosts [a.com]\nmirrors: *hosts\nsource_authorities:\n  a.com: [&ca {type: Path, path: /ca}]\n  b.com: [*ca]\n",
			want: registry.Sources{
				InsecureSources:   []string{"a.com"},
				SourceAuthorities: map[string][]registry.Authority{"a.com": {{Path: "/ca"}}, "b.com": {{Path: "/ca"}}},
			},
			warnings: []string{"mirrors: unknown key, ignored"},
		},
		{
			name: "no hosts", file: "insecure_sources: [1, '*', 'http://host/', host, '[::1]:5000', 'user@host', 'a.com/b', '']\nsource_authorities: {'https://a.com': []}\nguest_registries: ['*', a.com, '*.a.com']\n",
			want: registry.Sources{
				InsecureSources:   []string{"1", "*", "http://host/", "host", "[::1]:5000", "user@host", "a.com/b", ""},
				SourceAuthorities: map[string][]registry.Authority{},
				GuestRegistries:   []string{"*", "a.com", "*.a.com"},
			},
			warnings: []string{
				`guest_registries[2]: "*.a.com" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[0]: "1" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[1]: "*" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[2]: "http://host/" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[5]: "user@host" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[6]: "a.com/b" matches no host, expected HOST or HOST:PORT`,
				`insecure_sources[7]: "" matches no host, expected HOST or HOST:PORT`,
				"source_authorities.https://a.com: matches no host, expected HOST or HOST:PORT",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, warnings, err := registry.ParseSources([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			for host, authorities := range got.SourceAuthorities {
				for i, authority := range authorities {
					if authority.Data != nil { // YAML ends the block with one line break, PEM may have another
						got.SourceAuthorities[host][i].Data = canonicalPEM(t, authority.Data)
					}
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if !reflect.DeepEqual(warnings, test.warnings) {
				t.Errorf("warnings %q, want %q", warnings, test.warnings)
			}
		})
	}
}

// TestParseSources_nulls holds that null behind a key is the same as no key, and no item of a list.
func TestParseSources_nulls(t *testing.T) {
	for file, want := range map[string]string{
		"insecure_sources: %s":                              "",
		"insecure_sources:\n- %s":                           "insecure_sources[0]: invalid type: null, expected a string",
		"source_authorities: %s":                            "",
		"source_authorities: {a: %s}":                       "",
		"source_authorities:\n  a:\n  - %s":                 "source_authorities.a[0]: invalid type: null, expected a map",
		"source_authorities: {a: [{type: %s, path: /ca}]}":  "source_authorities.a[0]: missing field `type`",
		"source_authorities: {a: [{type: Path, path: %s}]}": "source_authorities.a[0]: missing field `path`",
		"source_authorities: {a: [{type: Data, data: %s}]}": "source_authorities.a[0]: missing field `data`",
		"proxies: %s": "",
		"proxies: {http_proxy: %s, https_proxy: %s, no_proxy: %s}": "",
		"mirrors: %s": "",
	} {
		for _, null := range []string{"null", "~", " "} {
			content := strings.ReplaceAll(file, "%s", null)
			_, _, err := registry.ParseSources([]byte(content))
			if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", content, err, want)
			}
		}
	}
}

func canonicalPEM(t *testing.T, text []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM in %q", text)
	}
	return pem.EncodeToMemory(block)
}

func TestParseSourcesByteList(t *testing.T) {
	block, _ := pem.Decode(tlsServer(t).ca())
	numbers := strings.ReplaceAll(fmt.Sprint(block.Bytes), " ", ", ")
	sources, _, err := registry.ParseSources([]byte("source_authorities: {a.com: [{type: Data, data: " + numbers + "}]}"))
	if err != nil {
		t.Fatal(err)
	}
	if got := sources.SourceAuthorities["a.com"][0].Data; string(got) != string(block.Bytes) {
		t.Errorf("got %d bytes, want the certificate's %d", len(got), len(block.Bytes))
	}
}

// TestParseSourcesFaults reads every file of testdata/sources, whose message is in a file of the
// same name.
func TestParseSourcesFaults(t *testing.T) {
	files, err := filepath.Glob("testdata/sources/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("got files %q, error %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".yaml") + ".error")
			if err != nil {
				t.Fatal(err)
			}
			sources, _, err := registry.ParseSources(content)
			if err == nil || err.Error() != strings.TrimSuffix(string(want), "\n") {
				t.Errorf("got error\n%v\nwant\n%s", err, want)
			}
			if !reflect.DeepEqual(sources, registry.Sources{}) {
				t.Errorf("got %+v along with the error, want the zero value", sources)
			}
		})
	}
}

func TestOpenReportsEveryAuthority(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "text.pem"), []byte("no certificate"))
	missing, text := filepath.Join(dir, "missing.pem"), filepath.Join(dir, "text.pem")
	_, err := registry.Open(registry.Config{Sources: registry.Sources{SourceAuthorities: map[string][]registry.Authority{
		"a.com": {{Path: missing}, {Path: text}},
		"b.com": {{Data: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}},
	}}})
	wantError(t, err,
		"source_authorities.a.com[0]: Cannot read certificate from file: open "+missing,
		"source_authorities.a.com[1]: Invalid certificate: Raw certificate is not in PEM nor in DER encoding",
		"source_authorities.b.com[0]: Invalid certificate: could not load certificate as PEM encoded: ")
}

func FuzzParseSources(f *testing.F) {
	files, err := filepath.Glob("testdata/sources/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("insecure_sources: &a [*a]\nproxies: {http_proxy: 'proxy:3128', <<: *a}\nsource_authorities: {a: [{type: Path, path: /ca}]}"))
	f.Fuzz(func(t *testing.T, content []byte) {
		sources, _, err := registry.ParseSources(content)
		if err != nil {
			return
		}
		for host, authorities := range sources.SourceAuthorities {
			for _, authority := range authorities {
				if (authority.Path == "") == (authority.Data == nil) {
					t.Errorf("authority of %q: got %+v, want exactly one of path and data", host, authority)
				}
				// What the parser lets through must not fail for its content when a client is
				// opened.
				_, err := registry.Open(registry.Config{Sources: registry.Sources{
					SourceAuthorities: map[string][]registry.Authority{host: {{Data: authority.Data}}},
				}})
				if authority.Data != nil && err != nil {
					t.Errorf("authority of %q: %v", host, errors.Unwrap(err))
				}
			}
		}
	})
}
