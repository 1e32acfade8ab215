package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// CheckAddresses finds out whether Run can listen where it is to, before anything is done that
// takes time: it listens and stops at once. The error is that of a listener.
func (s *Server) CheckAddresses(ctx context.Context) error {
	for _, address := range []string{s.config.Address, s.config.Readiness} {
		listener, err := listen(ctx, address)
		if err != nil {
			return err
		}
		defer listener.Close() // not before the other address was tried: they may be the same
	}
	return nil
}

// Run serves until ctx ends, then shuts down in this order: unready, serve on as a lame duck, stop
// accepting, drain, retire, close. It returns nil after an orderly end; the error of a listener, or
// what did not end within Config.Drain, otherwise.
//
// The API listens before the readiness probe does, so a probe that answers finds the API there.
func (s *Server) Run(ctx context.Context) error {
	api, readiness := s.httpServer(s.Handler()), s.httpServer(s.ReadinessHandler())
	apiListener, err := listen(ctx, s.config.Address)
	if err != nil {
		return err
	}
	readinessListener, err := listen(ctx, s.config.Readiness)
	if err != nil {
		return errors.Join(err, apiListener.Close())
	}
	failed := make(chan error, 2)
	go func() { failed <- s.serveAPI(api, apiListener) }()
	go func() { failed <- readiness.Serve(readinessListener) }()
	s.ready.Store(true)
	s.log.Info("server listening", zap.Stringer("address", apiListener.Addr()), zap.Stringer("readiness", readinessListener.Addr()),
		zap.Bool("tls", s.config.TLS != nil))

	select {
	case err = <-failed:
		s.log.Error("listener failed", zap.Error(err))
	case <-ctx.Done():
		s.log.Info("shutting down", zap.Duration("lame_duck", s.config.LameDuck), zap.Duration("drain", s.config.Drain))
		s.ready.Store(false)
		s.leaving.Store(true)
		err = s.lameDuck(failed)
	}
	return errors.Join(err, s.shutDown(api, readiness))
}

// serveAPI serves the API over TLS, if it is configured.
func (s *Server) serveAPI(api *http.Server, listener net.Listener) error {
	if s.config.TLS == nil {
		return api.Serve(listener)
	}
	api.TLSConfig = s.config.TLS
	return api.ServeTLS(listener, "", "")
}

// lameDuck lets clients go that are asked to, and returns early with the error of a listener.
func (s *Server) lameDuck(failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(s.config.LameDuck):
		return nil
	}
}

// shutDown is the one place that knows the order.
func (s *Server) shutDown(api, readiness *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.Drain) // Run's own context is over
	defer cancel()
	s.ready.Store(false)        // where a listener failed it has been ready up to now
	err := s.drain(ctx, api)    // stop accepting, and drain
	if s.config.Retire != nil { // retire
		err = errors.Join(err, s.config.Retire(ctx))
	}
	return errors.Join(err, readiness.Close(), api.Close()) // close
}

// drain waits for the requests in flight, and names those that did not finish.
func (s *Server) drain(ctx context.Context, api *http.Server) error {
	err := api.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	calls := s.traffic.unfinished()
	for _, c := range calls[:min(len(calls), maxNamed)] {
		s.log.Warn("request did not finish", zap.String("uri", c.uri), zap.Duration("after", time.Since(c.began)))
	}
	return fmt.Errorf("%d requests did not finish within %s: %w", len(calls), s.config.Drain, err)
}

// maxNamed is how many requests that did not finish are named: one tells which policy it is about.
const maxNamed = 20

func (s *Server) httpServer(handler http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true) // with prior knowledge, as upstream's server takes it
	return &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: 10 * time.Second, // a client that never ends its headers holds no connection for long,
		ReadTimeout:       30 * time.Second, // nor one that never ends its body; no API server waits longer for the answer
		MaxHeaderBytes:    64 << 10,         // the API server's are some hundred bytes
		IdleTimeout:       2 * time.Minute,  // longer than the API server's own, so that it is the one to close
		ErrorLog:          zap.NewStdLog(s.log.Named("http")),
	}
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", address, err)
	}
	return listener, nil
}
