package server

import (
	"context"
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
	c := s.traffic.begin(r.URL.Path)
	defer c.end()
	id, request, err := s.read(w, r, c, e)
	if err != nil {
		s.refuseCall(w, r, c, id, err)
		return
	}
	ctx, cancel := withClientTimeout(r)
	defer cancel()
	response, err := s.evaluator.Evaluate(ctx, id, request, e.origin)
	if err != nil {
		s.refuseCall(w, r, c, id, err)
		return
	}
	uid := strings.Clone(response.UID) // the body it is a part of is needed no more
	answer := e.append(make([]byte, 0, 512+2*len(response.Patch)), &response)
	if err := c.hold(cap(answer)); err != nil {
		s.refuseCall(w, r, c, id, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := s.deliver(w, answer); err != nil {
		s.log.Warn("response not delivered", zap.String("policy_id", string(id)), zap.String("uid", uid), zap.Error(err))
	}
}

// deliver writes an answer, for which a client that reads slowly has Config.WriteTimeout.
func (s *Server) deliver(w http.ResponseWriter, answer []byte) error {
	// What cannot have a deadline is a test's recorder.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.config.WriteTimeout))
	_, err := w.Write(answer)
	return err
}

// read returns what the client asks: which policy, about which request. The policy's name is
// checked first and looked up last, so a bad body to an unknown policy is reported as a bad body.
func (s *Server) read(w http.ResponseWriter, r *http.Request, c *call, e endpoint) (policy.ID, *admission.Request, error) {
	id, err := policyID(r)
	if err != nil {
		return "", nil, err
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return id, nil, errNotJSON
	}
	most := s.config.MaxBody
	if r.ContentLength >= 0 {
		most = min(r.ContentLength, most)
	}
	body, err := c.read(http.MaxBytesReader(w, r.Body, s.config.MaxBody), most)
	if err != nil {
		return id, nil, err
	}
	request, err := e.parse(body)
	return id, request, err
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
func (s *Server) refuseCall(w http.ResponseWriter, r *http.Request, c *call, id policy.ID, err error) {
	f := failureOf(err)
	log := s.log.Debug
	if f.status >= 500 {
		log = s.log.Error
	}
	log("response failed", zap.String("policy_id", string(id)), zap.String("uri", r.URL.Path), zap.Int("status", f.status),
		zap.Duration("latency", time.Since(c.began)), zap.Error(err))
	s.writeFailure(w, f)
}
