package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"policy-server/flight"
)

// Every guest is trusted with what its policy was granted, and not with the network the server
// stands in: a reference it makes up names any host and port. So what it asks goes through a client
// of its own, [Client.ForGuests].

// anyGuestRegistry is the entry of GuestRegistries for all hosts that are not listed.
const anyGuestRegistry = "*"

// guestRules says which registries guests may ask.
type guestRules struct {
	listed map[string]bool // by hostKey; wherever they are
	others bool            // and all others, unless their addresses are of this machine or its link
}

func newGuestRules(sources Sources) guestRules {
	rules := guestRules{listed: map[string]bool{}, others: len(sources.GuestRegistries) == 0}
	for _, host := range sources.GuestRegistries {
		rules.others = rules.others || host == anyGuestRegistry
		rules.listed[hostKey(host)] = true
	}
	// Who listed a host with how it is to be reached has listed it as a registry.
	for _, host := range sources.InsecureSources {
		rules.listed[hostKey(host)] = true
	}
	for host := range sources.SourceAuthorities {
		rules.listed[hostKey(host)] = true
	}
	return rules
}

// allow tells whether guests may ask a registry by that name.
func (r guestRules) allow(host string) error {
	host = hostKey(host)
	if r.listed[host] {
		return nil
	}
	if !r.others {
		return errNotForGuests
	}
	name := (&url.URL{Host: host}).Hostname()
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return errNotForGuests
	}
	if address, err := netip.ParseAddr(name); err == nil && isNear(address) {
		return errNotForGuests
	}
	return nil
}

// isNear tells whether an address is of this machine or of its link, where a cloud's metadata and
// the services beside the server are, and which no registry has by accident.
func isNear(address netip.Addr) bool {
	address = address.Unmap()
	return address.IsLoopback() || address.IsLinkLocalUnicast() || address.IsUnspecified() || address.IsMulticast() ||
		address == metadataV6
}

// metadataV6 is where Amazon's cloud has its metadata besides 169.254.169.254.
var metadataV6 = netip.MustParseAddr("fd00:ec2::254")

var errNotForGuests = errors.New("not one that policies may ask")

// UnreachableError reports a registry that a guest cannot ask. It does not say why, so that nobody
// learns what answers at which port; Err does, for a log, and is nil when nothing was tried.
type UnreachableError struct {
	Host string
	Err  error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("registry %q cannot be asked: it is down, or none, or not one that policies may ask (guest_registries in the sources file)", e.Host)
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// ForGuests returns the client for what guests ask. It reaches the registries that the sources let
// guests ask, as c does, and tells of no other more than that it cannot be asked. It has no store.
func (c *Client) ForGuests() *Client {
	guests := *c
	guests.store = NewStore("")
	guests.downloads = flight.NewGroup(flight.GroupConfig[string, []byte]{})
	guests.transport = c.watched(guestConnections{c.reach})
	guests.isForGuests = true
	return &guests
}

// guestConnections sends what guests ask for through connections that lead to no address nearby,
// unless the host is listed. A host that redirects, or has its tokens made by another, leads to
// that: the rules by name are for what a guest can name.
type guestConnections struct{ reach *atomic.Pointer[reach] }

// RoundTrip implements http.RoundTripper.
func (g guestConnections) RoundTrip(req *http.Request) (*http.Response, error) {
	within := g.reach.Load()
	through := within.guarded
	if within.rules.listed[hostKey(req.URL.Host)] {
		through = within.connections
	} else if address, err := netip.ParseAddr(req.URL.Hostname()); err == nil && isNear(address) { // a proxy would go there
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, &UnreachableError{Host: req.URL.Host, Err: errNotForGuests}
	}
	return through.RoundTrip(req)
}

// guarded returns connections like c that lead to no address nearby, except to a proxy. They share
// none with c: one that is open would not be looked at again.
func (c *connections) guarded() *connections {
	proxies := new(sync.Map) // the addresses of those that were used
	proxy := func(u *url.URL) (*url.URL, error) {
		through, err := c.proxy(u)
		if through != nil {
			proxies.Store(addressOf(through), true)
		}
		return through, err
	}
	plain := newDialer()
	careful := newDialer()
	careful.Control = func(_, address string, _ syscall.RawConn) error {
		if to, err := netip.ParseAddrPort(address); err != nil || isNear(to.Addr()) {
			return errNotForGuests
		}
		return nil
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if _, isProxy := proxies.Load(address); isProxy {
			return plain.DialContext(ctx, network, address)
		}
		return careful.DialContext(ctx, network, address)
	}
	return c.over(proxy, dial)
}

// addressOf is the host and port at which net/http reaches a proxy.
func addressOf(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// unreachable is why a guest's registry cannot be asked, where err is not that registry's answer:
// one to a request, or, before it was known to be one, that it wants credentials. That the client
// has left is no secret either.
func unreachable(host string, err error, known bool) error {
	var answer *transport.Error
	var without *UnreachableError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &without):
		return err
	case errors.As(err, &answer) && (known || isRefusal(answer)):
		return err
	}
	return &UnreachableError{Host: host, Err: err}
}

// isHost tells whether an entry of the sources file can be the host of anything.
func isHost(text string) bool {
	if text == "" || strings.ContainsAny(text, "/*@ \t\n?#") || strings.Contains(text, "://") {
		return false
	}
	u, err := url.Parse("//" + text)
	return err == nil && u.Host == text && u.Hostname() != "" && slices.ContainsFunc([]byte(text), func(b byte) bool { return b < '0' || b > '9' })
}
