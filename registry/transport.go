package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/net/http/httpproxy"
)

// connections decides, for every request of a client, which way it may leave. It stands below all
// libraries, so that their own ideas (plain HTTP to local addresses, redirects) cannot widen what
// the sources allow:
//
//	host listed in       requests to https://                            requests to http://
//	nothing              HTTPS, the system's authorities                 refused
//	source_authorities   HTTPS, the system's authorities and the host's  refused
//	insecure_sources     as above; HTTPS, any certificate; plain HTTP    plain HTTP
//
// The next way is tried when the connection fails, not when the server answers with an error: an
// absent tag must not send credentials out in clear. The way that worked is remembered for the host
// until it fails.
type connections struct {
	insecure    map[string]bool
	pools       map[string]*x509.CertPool // by host
	proxy       proxyChoice
	verified    http.RoundTripper            // the system's authorities; plain HTTP too
	authorities map[string]http.RoundTripper // by host
	unverified  http.RoundTripper

	mu      sync.Mutex
	settled map[string]int // by insecure host: the index of the way that worked
}

// proxyChoice returns the proxy for a URL; nil: none.
type proxyChoice func(*url.URL) (*url.URL, error)

// dialing opens a connection to host:port.
type dialing func(ctx context.Context, network, address string) (net.Conn, error)

// newConnections reads the authorities' files. The error joins all faults.
func newConnections(sources Sources) (*connections, error) {
	pools, err := authorityPools(sources.SourceAuthorities)
	if err != nil {
		return nil, err
	}
	c := &connections{insecure: map[string]bool{}, pools: pools}
	for _, host := range sources.InsecureSources {
		c.insecure[hostKey(host)] = true
	}
	return c.over(proxyFunc(sources.Proxies), newDialer().DialContext), nil
}

// over returns connections like c through other proxies and dials. They share none with c.
func (c *connections) over(proxy proxyChoice, dial dialing) *connections {
	o := &connections{
		insecure:    c.insecure,
		pools:       c.pools,
		proxy:       proxy,
		verified:    newTransport(proxy, dial, &tls.Config{}),
		authorities: map[string]http.RoundTripper{},
		unverified:  newTransport(proxy, dial, &tls.Config{InsecureSkipVerify: true}), // for hosts listed as insecure only
		settled:     map[string]int{},
	}
	for host, pool := range c.pools {
		o.authorities[host] = newTransport(proxy, dial, &tls.Config{RootCAs: pool})
	}
	return o
}

// closeIdle closes the connections that wait for a request.
func (c *connections) closeIdle() {
	all := []http.RoundTripper{c.verified, c.unverified}
	for _, transport := range c.authorities {
		all = append(all, transport)
	}
	for _, transport := range all {
		transport.(*http.Transport).CloseIdleConnections() // over makes no others
	}
}

func newDialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
}

func proxyFunc(proxies *Proxies) proxyChoice {
	if proxies == nil {
		return environmentProxies().ProxyFunc()
	}
	section := httpproxy.Config{HTTPProxy: proxies.HTTPProxy, HTTPSProxy: proxies.HTTPSProxy, NoProxy: proxies.NoProxy}
	return section.ProxyFunc()
}

// environmentProxies reads the proxy variables. As in Kubewarden, and unlike in Go, the names in
// upper case win.
func environmentProxies() *httpproxy.Config {
	proxies := httpproxy.FromEnvironment()
	for name, proxy := range map[string]*string{
		"HTTP_PROXY": &proxies.HTTPProxy, "HTTPS_PROXY": &proxies.HTTPSProxy, "NO_PROXY": &proxies.NoProxy,
	} {
		if upper := os.Getenv(name); upper != "" {
			*proxy = upper
		}
	}
	return proxies
}

func newTransport(proxy proxyChoice, dial dialing, tlsConfig *tls.Config) *http.Transport {
	tlsConfig.MinVersion = tls.VersionTLS12
	return &http.Transport{
		Proxy:               func(req *http.Request) (*url.URL, error) { return proxy(req.URL) },
		DialContext:         dial,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // digests and ranges are of the bytes as they are
		// A connection that died without a word would otherwise be used for every further request
		// until TCP notices.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// maxRedirects is what browsers and net/http follow.
const maxRedirects = 10

// followRedirect is the CheckRedirect of our requests. Where they may go is decided by connections,
// and credentials are attached below it, for the registry's own host only. The headers of the
// redirected request are not for others either: the address a module was asked for may hold a
// token, and Referer would pass it on.
func followRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	req.Header.Del("Referer")
	if req.URL.Host != via[0].URL.Host {
		req.Header.Del("Authorization")
		req.Header.Del("Cookie")
	}
	return nil
}

// hostKey makes a host comparable. go-containerregistry asks index.docker.io for what everybody
// calls docker.io.
func hostKey(host string) string {
	host = strings.ToLower(host)
	if host == "docker.io" {
		return name.DefaultRegistry
	}
	return host
}

// RoundTrip implements http.RoundTripper.
func (c *connections) RoundTrip(req *http.Request) (*http.Response, error) {
	host := hostKey(req.URL.Host)
	switch {
	case req.Context().Err() != nil: // the libraries that try plain HTTP next shall hear of that, and not of the refusal
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, context.Cause(req.Context())
	case req.URL.Scheme == SchemeHTTP && !c.insecure[host]:
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &PlainHTTPError{Host: req.URL.Host}
	case req.URL.Scheme == SchemeHTTPS && c.insecure[host]:
		return c.tryEachWay(req, host)
	default:
		return c.verifiedFor(host).RoundTrip(req)
	}
}

func (c *connections) verifiedFor(host string) http.RoundTripper {
	if transport, ok := c.authorities[host]; ok {
		return transport
	}
	return c.verified
}

// way is one of the ways to reach an insecure host.
type way struct {
	name      string
	scheme    string
	transport http.RoundTripper
}

func (c *connections) tryEachWay(req *http.Request, host string) (*http.Response, error) {
	ways := []way{
		{"https", SchemeHTTPS, c.verifiedFor(host)},
		{"https with any certificate", SchemeHTTPS, c.unverified},
		{"plain http", SchemeHTTP, c.verified},
	}
	if req.Body != nil && req.GetBody != nil {
		defer req.Body.Close() // the attempts read copies
	}
	failure := fmt.Errorf("insecure source %q cannot be reached", req.URL.Host)
	for i := c.settledWay(host); i < len(ways); i++ {
		attempt, err := rewind(req, ways[i].scheme)
		if err != nil {
			return nil, err
		}
		resp, err := ways[i].transport.RoundTrip(attempt)
		if err == nil {
			if resp.StatusCode == http.StatusBadRequest {
				i = 0 // so does a server answer plain http once it has moved to TLS: look again next time
			}
			c.settle(host, i)
			return resp, nil
		}
		failure = fmt.Errorf("%w; %s: %w", failure, ways[i].name, err)
		if req.Context().Err() != nil || !replayable(req) {
			break
		}
	}
	c.settle(host, 0)
	return nil, failure
}

// replayable reports whether the request can be sent again after a failed attempt used up its body.
// Requests whose body cannot be are sent once, the way the host is known to be reached.
func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// rewind copies req for another attempt, with a body to be read from its start.
func rewind(req *http.Request, scheme string) (*http.Request, error) {
	attempt := req.Clone(req.Context())
	attempt.URL.Scheme = scheme
	if req.Body != nil && req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		attempt.Body = body
	}
	return attempt, nil
}

func (c *connections) settledWay(host string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled[host]
}

func (c *connections) settle(host string, i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settled[host] = i
}
