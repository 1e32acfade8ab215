package server

import (
	"bytes"
	"context"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/policy"
)

// endpoint is what the three endpoints differ in: where the request comes from, what it looks like,
// and how its answer is written.
type endpoint struct {
	origin policy.Origin
	parse  func(body []byte) (*admission.Request, error)
	append func(dst []byte, response *admission.Response) []byte
}

// answer handles one request from its first byte to its log line.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, e endpoint) {
	began := time.Now()
	id, request, err := s.read(w, r, e)
	if err != nil {
		s.refuseCall(w, r, id, began, err)
		return
	}
	ctx, cancel := withClientTimeout(r)
	defer cancel()
	response, err := s.evaluator.Evaluate(ctx, id, request, e.origin)
	if err != nil {
		s.refuseCall(w, r, id, began, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(e.append(make([]byte, 0, 512+2*len(response.Patch)), &response)); err != nil {
		s.log.Warn("response not delivered", zap.String("policy_id", string(id)), zap.String("uid", request.UID()), zap.Error(err))
	}
}

// read returns what the client asks: which policy, about which request. The policy's name is
// checked first and looked up last, so a bad body to an unknown policy is reported as a bad body.
func (s *Server) read(w http.ResponseWriter, r *http.Request, e endpoint) (policy.ID, *admission.Request, error) {
	id, err := policyID(r)
	if err != nil {
		return "", nil, err
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return id, nil, errNotJSON
	}
	body, err := readBody(http.MaxBytesReader(w, r.Body, s.config.MaxBody), r.ContentLength)
	if err != nil {
		return id, nil, &bodyError{err}
	}
	request, err := e.parse(body)
	return id, request, err
}

// believed is how much of an announced length is allocated before any of it has arrived: enough for
// most reviews in one piece, too little for a client that announces megabytes on a thousand
// connections and sends nothing.
const believed = 64 << 10

// readBody reads all of body.
func readBody(body io.Reader, announced int64) ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(max(announced, 0), believed)) + bytes.MinRead) // the end is found without growing once more
	_, err := b.ReadFrom(body)
	return b.Bytes(), err
}

// isJSON reports whether a Content-Type is application/json or application/…+json.
func isJSON(contentType string) bool {
	mediaType, _, err := mime.ParseMediaType(contentType)
	return err == nil && (mediaType == "application/json" ||
		strings.HasPrefix(mediaType, "application/") && strings.HasSuffix(mediaType, "+json"))
}

// withClientTimeout bounds an evaluation by how long the API server will wait: it says so in the
// query parameter timeout, as in "10s". Anything else there is ignored.
func withClientTimeout(r *http.Request) (context.Context, context.CancelFunc) {
	timeout, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil || timeout <= 0 {
		return r.Context(), func() {}
	}
	return context.WithTimeout(r.Context(), timeout)
}

// refuseCall answers a request that got no verdict.
func (s *Server) refuseCall(w http.ResponseWriter, r *http.Request, id policy.ID, began time.Time, err error) {
	f := failureOf(err)
	log := s.log.Debug
	if f.status >= 500 {
		log = s.log.Error
	}
	log("response failed", zap.String("policy_id", string(id)), zap.String("uri", r.URL.Path), zap.Int("status", f.status),
		zap.Duration("latency", time.Since(began)), zap.Error(err))
	writeFailure(w, f)
}
