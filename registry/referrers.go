package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// referrersGuard makes an endpoint for referrers that answers 200 with something else than an
// index, such as a proxy's login page, one that is not there: libraries then read and write the
// index under the fallback tag. Without it, signing takes such a page for a registry that lists the
// signature by itself, and no verifier finds the signature again.
//
// API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
type referrersGuard struct{ next http.RoundTripper } // bounds what is read

// RoundTrip implements http.RoundTripper.
func (g *referrersGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusOK || req.Method != http.MethodGet || !strings.Contains(req.URL.Path, "/referrers/") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, err
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if isIndex(body) {
		mediaType = string(types.OCIImageIndex) // whatever else was said of it
		resp.Header.Set("Content-Type", mediaType)
	} else {
		if answer, ok := req.Context().Value(referrersKey{}).(*ReferrersAnswer); ok {
			odd := fmt.Sprintf("%d bytes of %q", len(body), mediaType)
			answer.odd.Store(&odd)
		}
		resp.StatusCode, resp.Status, body = http.StatusNotFound, "404 Not Found", nil
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// isIndex tells an image index from other documents by what it must have.
func isIndex(body []byte) bool {
	var index struct {
		SchemaVersion int                `json:"schemaVersion"`
		Manifests     *[]json.RawMessage `json:"manifests"`
	}
	return json.Unmarshal(body, &index) == nil && index.SchemaVersion == 2 && index.Manifests != nil
}

// ReferrersAnswer is what a registry's endpoint for referrers answered in place of an index.
// Goroutines may share it.
type ReferrersAnswer struct{ odd atomic.Pointer[string] }

// String says what it was: `512 bytes of "text/html"`; "" when the endpoint answered properly, or
// said that it is not there.
func (a *ReferrersAnswer) String() string {
	if odd := a.odd.Load(); odd != nil {
		return *odd
	}
	return ""
}

type referrersKey struct{}

// WatchReferrers returns a context under which requests by Client.RemoteOptions note what the
// endpoint for referrers answers.
func WatchReferrers(ctx context.Context) (context.Context, *ReferrersAnswer) {
	answer := new(ReferrersAnswer)
	return context.WithValue(ctx, referrersKey{}, answer), answer
}
