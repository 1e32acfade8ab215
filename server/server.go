package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/go-chi/chi/v5"
	"go.uber.org/zap"

	"policy-server/admission"
	"policy-server/policy"
)

// Evaluator gives the verdict on one request. Its errors are those of policy.Evaluator.
type Evaluator interface {
	Evaluate(ctx context.Context, id policy.ID, request *admission.Request, origin policy.Origin) (admission.Response, error)
}

// DefaultMaxBody is how many bytes a request body may have when Config does not say: the API server
// stores no object over 1.5 MB, but sends two of them in one review, and escaping can double them.
const DefaultMaxBody = 8 << 20

// Config configures a Server. The zero value listens on a free port of every address.
type Config struct {
	Address   string // host:port of the API
	Readiness string // host:port of the readiness probe, always plain HTTP
	MaxBody   int64  // bytes of a request body; 0: DefaultMaxBody

	// TLS is how the API speaks TLS (package certs); nil: it speaks plain HTTP.
	TLS *tls.Config

	// Traffic is how many bytes the bodies and answers of all requests in flight may take together;
	// 0: 256 MiB.
	Traffic int64
	// WriteTimeout is how long a client may take to read its answer; 0: 10 seconds.
	WriteTimeout time.Duration
	// LameDuck is how long the server serves on after it has become unready because it is to stop,
	// for clients that have not heard of it yet. It asks them not to come again.
	LameDuck time.Duration
	// Drain is how long requests in flight may take to finish after that; 0: 20 seconds.
	Drain time.Duration
	// Retire is called once no request is in flight any more, before Run returns.
	Retire func(context.Context) error
}

// Server answers admission requests over HTTP.
type Server struct {
	config    Config
	evaluator Evaluator
	log       *zap.Logger
	traffic   *traffic
	ready     atomic.Bool
	leaving   atomic.Bool // clients are asked not to come again
}

// New returns a server that does nothing until Run is called.
func New(config Config, evaluator Evaluator, log *zap.Logger) *Server {
	config.MaxBody = cmp.Or(config.MaxBody, DefaultMaxBody)
	config.Traffic = cmp.Or(config.Traffic, 256<<20)
	config.WriteTimeout = cmp.Or(config.WriteTimeout, 10*time.Second)
	config.Drain = cmp.Or(config.Drain, 20*time.Second)
	return &Server{config: config, evaluator: evaluator, log: log, traffic: newTraffic(config.Traffic)}
}

// Handler returns the API: POST /validate/{policy}, /audit/{policy} and /validate_raw/{policy}.
func (s *Server) Handler() http.Handler {
	mux := chi.NewRouter()
	mux.Use(s.recover, s.sayGoodbye, routeByEscapedPath)
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	for path, e := range map[string]endpoint{
		"/validate/{policy}":     {policy.FromWebhook, admission.ParseReview, admission.AppendReview},
		"/audit/{policy}":        {policy.FromAudit, admission.ParseReview, admission.AppendReview},
		"/validate_raw/{policy}": {policy.FromWebhook, admission.ParseRawReview, admission.AppendRawReview},
	} {
		mux.Post(path, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, e) })
	}
	return mux
}

// ReadinessHandler answers GET /readiness: 200 while the server takes requests, else 503.
func (s *Server) ReadinessHandler() http.Handler {
	mux := chi.NewRouter()
	probe := func(w http.ResponseWriter, _ *http.Request) {
		if !s.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}
	mux.Get("/readiness", probe)
	mux.Head("/readiness", probe)
	mux.NotFound(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	return mux
}

// routeByEscapedPath lets an escaped slash be part of a policy's name: GROUP%2FMEMBER is one
// segment.
func routeByEscapedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RoutePath = r.URL.EscapedPath()
		next.ServeHTTP(w, r)
	})
}

// sayGoodbye has clients of a server that is to stop use another connection for their next request:
// HTTP/1.1 is told so in each answer, and the header makes HTTP/2 send GOAWAY.
func (s *Server) sayGoodbye(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recover answers 500 when a handler panics, so that a defect costs one request.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				s.log.Error("request handler panicked", zap.Any("cause", cause), zap.Stack("stack"), zap.String("uri", r.URL.Path))
				s.writeFailure(w, failure{http.StatusInternalServerError, somethingWrong})
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// policyID returns the policy that r's path names.
func policyID(r *http.Request) (policy.ID, error) {
	text, err := url.PathUnescape(chi.URLParam(r, "policy"))
	if err != nil || !utf8.ValidString(text) {
		return "", errNotUTF8
	}
	return policy.ParseID(text)
}
