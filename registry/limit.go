package registry

import (
	"bytes"
	"io"
	"net/http"
	"strings"
)

// readLimited reads everything, or fails with *TooLargeError after limit bytes.
func readLimited(r io.Reader, what string, limit int64) ([]byte, error) {
	var content bytes.Buffer
	n, err := content.ReadFrom(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, &TooLargeError{What: what, Limit: limit}
	}
	return content.Bytes(), nil
}

// manifestLimit bounds what a registry may answer where the client library reads bodies to their
// end: manifests, lists of referrers, and the greeting under /v2/. Blobs are bounded where they are
// read.
type manifestLimit struct {
	next  http.RoundTripper
	limit int64
}

func (m *manifestLimit) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := m.next.RoundTrip(req)
	if err != nil || !wantsDocument(req) {
		return resp, err
	}
	if req.Method != http.MethodHead && resp.ContentLength > m.limit {
		_ = resp.Body.Close()
		return nil, &TooLargeError{What: "manifest", Limit: m.limit}
	}
	resp.Body = &limitedBody{ReadCloser: resp.Body, left: m.limit, limit: m.limit}
	return resp, nil
}

// wantsDocument looks at where a chain of redirects began, since its end has another path.
func wantsDocument(req *http.Request) bool {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
	}
	path, ok := strings.CutPrefix(req.URL.Path, "/v2/")
	if !ok || path == "" {
		return ok
	}
	elements := strings.Split(path, "/") // REPOSITORY/KIND/REFERENCE, and a repository may be called manifests
	kind := elements[max(0, len(elements)-2)]
	return kind == "manifests" || kind == "referrers"
}

// limitedBody fails, instead of ending, when there is more than limit bytes.
type limitedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *limitedBody) Read(p []byte) (int, error) {
	// One byte more than is left tells a body that ends at the limit from one that goes on.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n, err = int(b.left), &TooLargeError{What: "manifest", Limit: b.limit}
	}
	b.left -= int64(n)
	return n, err
}
