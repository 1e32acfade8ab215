// Package certs holds the TLS material of the API: the server's certificate and the authorities of
// its clients, from files that may be exchanged while it serves.
package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"policy-server/folder"
)

// Files say where the material is, all of it PEM.
type Files struct {
	Certificate string   // the server's, and what of its chain clients need
	Key         string   // the one that belongs to it: PKCS#1, SEC1 or PKCS#8
	ClientCAs   []string // authorities of client certificates; with any of them clients need one
}

// FileError reports a file that cannot be used.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }

// Unwrap returns what is wrong with the file.
func (e *FileError) Unwrap() error { return e.Err }

// Material is what the files hold. Goroutines may share it.
type Material struct {
	files Files
	log   *zap.Logger
	watch *folder.Watch

	config atomic.Pointer[tls.Config] // for connections that begin

	// What was last read, by the goroutine that reads: seen is of the pair too, and may be half of
	// the next one.
	pair, seen, authorities contents
}

// contents are files' contents, in their order.
type contents [][]byte

func read(files ...string) (contents, error) {
	var all contents
	for _, file := range files {
		content, err := os.ReadFile(file)
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err // the path is said already
		}
		if err != nil {
			return nil, &FileError{file, err}
		}
		all = append(all, content)
	}
	return all, nil
}

func (c contents) equal(other contents) bool { return slices.EqualFunc(c, other, bytes.Equal) }

// Load reads the files. The error is a *[FileError] for each that cannot be used, or says that the
// client authorities are none. The caller runs [Material.Renew], which watches them from now on.
func Load(files Files, log *zap.Logger) (*Material, error) {
	m := &Material{files: files, log: log.Named("certs")}
	watch, err := folder.NewWatch(slices.Concat([]string{files.Certificate, files.Key}, files.ClientCAs)...)
	if err != nil {
		return nil, err
	}
	m.watch = watch
	if m.pair, err = read(files.Certificate, files.Key); err != nil {
		return nil, err
	}
	certificate, err := m.certificate(m.pair)
	if err != nil {
		return nil, err
	}
	if m.authorities, err = read(files.ClientCAs...); err != nil {
		return nil, err
	}
	pool, err := m.pool(m.authorities)
	if err != nil {
		return nil, err
	}
	m.seen = m.pair
	m.use(certificate, pool)
	return m, nil
}

// Config returns the configuration of a listener. Each connection is served with what the files
// held last, from TLS 1.2 on.
func (m *Material) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return m.config.Load(), nil },
	}
}

// use has connections that begin served with a certificate and the client authorities, nil for
// none.
func (m *Material) use(certificate tls.Certificate, pool *x509.CertPool) {
	config := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{certificate},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if pool != nil {
		config.ClientCAs, config.ClientAuth = pool, tls.RequireAndVerifyClientCert
	}
	m.config.Store(config)
}

// NotAfter returns until when the certificate in use is valid.
func (m *Material) NotAfter() time.Time { return m.config.Load().Certificates[0].Leaf.NotAfter }

// certificate makes the server's certificate of its file and its key's.
func (m *Material) certificate(pair contents) (tls.Certificate, error) {
	if n := count(pair[0], "CERTIFICATE"); n == 0 {
		return tls.Certificate{}, &FileError{m.files.Certificate, errors.New("Expected exactly one certificate in certificate file, found 0")}
	}
	if n := count(pair[1], "PRIVATE KEY"); n != 1 {
		return tls.Certificate{}, &FileError{m.files.Key, fmt.Errorf("Expected exactly one key in key file, found %d", n)}
	}
	certificate, err := tls.X509KeyPair(pair[0], pair[1])
	if err != nil {
		return tls.Certificate{}, &FileError{m.files.Certificate + " and " + m.files.Key, err}
	}
	leaf := certificate.Leaf
	log := m.log.Info
	if time.Now().After(leaf.NotAfter) {
		log = m.log.Warn
	}
	log("server certificate", zap.Stringer("subject", leaf.Subject), zap.Strings("names", leaf.DNSNames), zap.Time("not_after", leaf.NotAfter))
	return certificate, nil
}

// count returns how many blocks of a PEM file have a type that ends so.
func count(content []byte, kind string) (n int) {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, kind) {
			n++
		}
	}
	return n
}

// pool makes the client authorities of their files; nil if there are no files. What cannot be
// parsed is passed over: a bundle with one odd certificate is of use for all others.
func (m *Material) pool(files contents) (*x509.CertPool, error) {
	if len(files) == 0 {
		return nil, nil
	}
	pool, total := x509.NewCertPool(), 0
	for i, content := range files {
		added, ignored := 0, 0
		for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if block.Type != "CERTIFICATE" || err != nil {
				ignored++
				continue
			}
			pool.AddCert(certificate)
			added++
		}
		total += added
		log := m.log.Info
		if ignored > 0 {
			log = m.log.Warn
		}
		log("Loaded client CA certificates", zap.Int("client_ca_certs_added", added), zap.Int("client_ca_certs_ignored", ignored),
			zap.String("file", m.files.ClientCAs[i]))
	}
	if total == 0 {
		return nil, fmt.Errorf("Cannot build client verifier: no certificates in %s", strings.Join(m.files.ClientCAs, ", "))
	}
	return pool, nil
}

// Renew has connections that begin served with what the files hold, whenever that changes, until
// ctx ends. A certificate and key that do not belong together are waited for to become a pair: one
// file is written before the other. What cannot be used changes nothing, and is logged.
func (m *Material) Renew(ctx context.Context) { m.watch.Run(ctx, m.renew) }

func (m *Material) renew() {
	now := m.config.Load()
	certificate, pool := now.Certificates[0], now.ClientCAs
	certificate, changed := m.renewedPair(certificate)
	pool, changedToo := m.renewedPool(pool)
	if changed || changedToo {
		m.use(certificate, pool)
	}
}

// renewedPair returns the server's certificate, and whether it is another one.
func (m *Material) renewedPair(now tls.Certificate) (tls.Certificate, bool) {
	pair, err := read(m.files.Certificate, m.files.Key)
	if err != nil {
		m.failed(err)
		return now, false
	}
	if pair.equal(m.seen) {
		return now, false
	}
	for i, what := range []string{"TLS certificate file has been modified", "TLS key file has been modified"} {
		if !bytes.Equal(pair[i], m.seen[i]) {
			m.log.Info(what)
		}
	}
	m.seen = pair
	certificate, err := m.certificate(pair)
	switch {
	case err == nil:
		m.log.Info("Reloading Server TLS certificates")
		m.pair = pair
		return certificate, true
	case bytes.Equal(pair[0], m.pair[0]) != bytes.Equal(pair[1], m.pair[1]):
		m.log.Warn("TLS certificate and key are no pair, the other file is waited for", zap.Error(err))
	default:
		m.failed(err)
	}
	return now, false
}

// renewedPool returns the client authorities, and whether they are others.
func (m *Material) renewedPool(now *x509.CertPool) (*x509.CertPool, bool) {
	authorities, err := read(m.files.ClientCAs...)
	if err != nil {
		m.failed(err)
		return now, false
	}
	if authorities.equal(m.authorities) {
		return now, false
	}
	m.log.Info("TLS client CA file has been modified")
	m.log.Info("Reloading client CA certificates")
	m.authorities = authorities
	pool, err := m.pool(authorities)
	if err != nil {
		m.failed(err)
		return now, false
	}
	return pool, true
}

func (m *Material) failed(err error) {
	m.log.Error("Failed to reload TLS certificates: what was loaded before stays in use", zap.Error(err))
}
