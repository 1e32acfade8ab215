package main

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"

	"go.uber.org/zap"

	"policy-server/server/certs"
)

// secured is the TLS of the API, renewed as its files change until it is closed.
type secured struct {
	config *tls.Config // nil: plain HTTP
	close  func()
}

// secure reads the files that o names for TLS, before anything is downloaded.
func secure(ctx context.Context, o options, log *zap.Logger) (secured, error) {
	authorities := strings.FieldsFunc(o.clientCAs, func(r rune) bool { return r == ',' })
	switch {
	case (o.certFile == "") != (o.keyFile == ""):
		return secured{}, errors.New("both certificate and key must be provided together")
	case o.certFile == "" && len(authorities) > 0:
		return secured{}, errors.New("client CA certificate requires server certificate and key to be specified")
	case o.certFile == "":
		return secured{close: func() {}}, nil
	}
	material, err := certs.Load(certs.Files{Certificate: o.certFile, Key: o.keyFile, ClientCAs: authorities}, log)
	if err != nil {
		return secured{}, err
	}
	return secured{material.Config(), background(context.WithoutCancel(ctx), material.Renew)}, nil // while it drains, too
}
