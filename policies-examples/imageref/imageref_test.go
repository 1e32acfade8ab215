package imageref_test

import (
	"strings"
	"testing"

	"policy-server/policies-examples/imageref"
)

const digest = "sha256:89102e348749bb17a6a651a4b2a17420e1a66d2a44a675b981973d49a5af3a5e"

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"busybox":                                   "docker.io/library/busybox:latest",
		"opensuse/leap:15.3":                        "docker.io/opensuse/leap:15.3",
		"docker.io/busybox":                         "docker.io/library/busybox:latest",
		"index.docker.io/library/busybox":           "docker.io/library/busybox:latest",
		"localhost/app":                             "localhost/app:latest",
		"localhost:5000/psp-apparmor":               "localhost:5000/psp-apparmor:latest",
		"test.com:5000":                             "docker.io/library/test.com:5000",
		"test:5000/repo":                            "test:5000/repo:latest",
		"b.gcr.io/test.example.com/my-app:a.b":      "b.gcr.io/test.example.com/my-app:a.b",
		"GHCR.io/acme/app:V1":                       "ghcr.io/acme/app:V1",
		"ghcr.io:443/acme/app:1":                    "ghcr.io/acme/app:1",
		"Acme/app":                                  "Acme/app:latest",
		"r.io/p@" + digest:                          "r.io/p@" + digest,
		"r.io/p:v1@" + digest:                       "r.io/p:v1@" + digest,
		"LOCALHOST/app":                             "localhost/app:latest",
		"registry:443/app":                          "registry:443/app:latest",
		"[2001:db8::1]:5000/p":                      "[2001:db8::1]:5000/p:latest",
		"r.io/a_b/c__d/e---f/g.h:_x":                "r.io/a_b/c__d/e---f/g.h:_x",
		"r.io/p@sha512:" + strings.Repeat("0", 128): "r.io/p@sha512:" + strings.Repeat("0", 128),
	} {
		t.Run(text, func(t *testing.T) {
			ref, err := imageref.Parse(text)
			if err != nil || ref.String() != want {
				t.Errorf("reads as %q, error %v, expected %q", ref, err, want)
			}
			if again, err := imageref.Parse(ref.String()); err != nil || again != ref {
				t.Errorf("%q reads as %q, error %v", ref, again, err)
			}
		})
	}
}

func TestParseFails(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "malformed repository",
		"r.io/":                                 "malformed repository",
		"/p":                                    "malformed repository",
		"r.io//p":                               "malformed repository",
		"busyBox":                               "malformed repository",
		"r.io/UP":                               "malformed repository",
		"r.io/a___b":                            "malformed repository",
		"r.io/a..b":                             "malformed repository",
		"r.io/-a":                               "malformed repository",
		"r.io/a.":                               "malformed repository",
		"r.io/" + strings.Repeat("a", 256):      "malformed repository",
		"https://r.io/p":                        "malformed registry",
		"r..io/p":                               "malformed registry",
		"r.io./p":                               "malformed registry",
		"-r.io/p":                               "malformed registry",
		"r.io:x/p":                              "malformed registry",
		"[2001:db8::1/p":                        "malformed registry",
		"r.io/p:":                               "malformed tag",
		"r.io/p:.x":                             "malformed tag",
		"r.io/p:a b":                            "malformed tag",
		"r.io/p:" + strings.Repeat("a", 129):    "malformed tag",
		"r.io/p@":                               "malformed digest",
		"r.io/p@sha256:89":                      "malformed digest",
		"r.io/p@md5:89102e348749bb17a6a651a4b2": "malformed digest",
		"r.io/p@" + strings.ToUpper(digest):     "malformed digest",
		"r.io/p@" + digest + "@" + digest:       "malformed digest",
		" busybox":                              "malformed repository",
	} {
		t.Run(text, func(t *testing.T) {
			if ref, err := imageref.Parse(text); err == nil || err.Error() != want {
				t.Errorf("reads as %q, error %v, expected %q", ref, err, want)
			}
		})
	}
}

func TestSplitLeavesTheTagOut(t *testing.T) {
	if ref, err := imageref.Split("nginx"); err != nil || ref.Tag != "" {
		t.Errorf("reads as %q, error %v", ref, err)
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, image string
		want           bool
	}{
		{"ghcr.io/acme/*", "ghcr.io/acme/app:1", true},
		{"ghcr.io/acme/*", "GHCR.io:443/acme/app", true},
		{"docker.io/library/*", "nginx", true},
		{"nginx", "nginx", true},
		{"nginx", "docker.io/library/nginx", false},
		{"*:latest", "nginx", true},
		{"ghcr.io/acme/*", "quay.io/acme/app", false},
		{"*", "no image at all", true},
		{"ghcr.io/*", "GHCR.io/No Image", false},
	} {
		if got := imageref.Match(c.pattern, c.image); got != c.want {
			t.Errorf("%q means %q: %t", c.pattern, c.image, got)
		}
	}
}

// FuzzParse holds that what is read can be written, and read as the same again.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"nginx", "r.io:5000/a/b__c:v1@" + digest, "[::1]:443/p", "Docker.IO:443/x", "a/b:c/d", "@", ":", "/"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := imageref.Parse(text)
		if err != nil {
			return
		}
		if again, err := imageref.Parse(ref.String()); err != nil || again != ref {
			t.Fatalf("%q reads as %q, which reads as %q, %v", text, ref, again, err)
		}
	})
}
