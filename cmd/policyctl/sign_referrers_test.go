package main

import (
	"io"
	"log"
	"net/http"
	"strings"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
)

// TestSign_referrers holds that what is signed is found again, whatever a registry's endpoint for
// referrers answers, and that a signature nobody will find is no success.
func TestSign_referrers(t *testing.T) {
	answering := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	const index = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`
	for name, c := range map[string]struct {
		answer   http.HandlerFunc
		lost     string // part of the error of sign
		unsigned string // what verify says of an unsigned policy
	}{
		"a login page":             {answering("text/html; charset=utf-8", "<html>Log in"), "", `; for its list of referrers the registry answered 12 bytes of "text/html", which is no image index`},
		"other JSON":               {answering("application/json", `{"error":null}`), "", `answered 14 bytes of "application/json"`},
		"a page called index":      {answering("application/vnd.oci.image.index.v1+json", "<html>"), "", `answered 6 bytes of "application/vnd.oci.image.index.v1+json"`},
		"nothing":                  {answering("text/plain", ""), "", `answered 0 bytes of "text/plain"`},
		"an index that forgets":    {answering("application/vnd.oci.image.index.v1+json", index), "was pushed, and the registry does not list it\nHint: sign with --layout legacy", "no signatures found for image: "},
		"an index by another name": {answering("application/json", index), "was pushed, and the registry does not list it", "no signatures found for image: "},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			images := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
			host, _ := u.serves(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/referrers/") {
					c.answer(w, r)
					return
				}
				images.ServeHTTP(w, r)
			}))
			uri := host + "/acme/pods:v1"
			u.pushed(u.annotated("accepts", podMetadata), uri)
			key := u.writesKey("cosign.key")
			public := strings.TrimSuffix(key, ".key") + ".pub"
			u.does("verify", "-k", public, uri).fails(t, c.unsigned)
			if c.lost != "" {
				u.does("sign", "--key", key, uri).fails(t, c.lost)
				u.must("sign", "--key", key, "--layout", "legacy", uri)
			} else {
				u.must("sign", "--key", key, uri)
			}
			u.must("verify", "-k", public, uri)
		})
	}
}
