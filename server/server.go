package server

import (
	"context"
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
	// Drain is how long requests in flight may take to finish when the server stops; 0: 30 seconds.
	Drain time.Duration
	// Retire is called once no request is in flight any more, before Run returns.
	Retire func(context.Context) error
}

// Server answers admission requests over HTTP.
type Server struct {
	config    Config
	evaluator Evaluator
	log       *zap.Logger
	ready     atomic.Bool
}

// New returns a server that does nothing until Run is called.
func New(config Config, evaluator Evaluator, log *zap.Logger) *Server {
	if config.MaxBody == 0 {
		config.MaxBody = DefaultMaxBody
	}
	if config.Drain == 0 {
		config.Drain = 30 * time.Second
	}
	return &Server{config: config, evaluator: evaluator, log: log}
}

// Handler returns the API: POST /validate/{policy}, /audit/{policy} and /validate_raw/{policy}.
func (s *Server) Handler() http.Handler {
	mux := chi.NewRouter()
	mux.Use(s.recover, routeByEscapedPath)
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

// recover answers 500 when a handler panics, so that a defect costs one request.
func (s *Server) recover(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				s.log.Error("request handler panicked", zap.Any("cause", cause), zap.Stack("stack"), zap.String("uri", r.URL.Path))
				writeFailure(w, failure{http.StatusInternalServerError, somethingWrong})
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
