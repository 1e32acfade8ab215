package registry

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
)

// TestGuarded holds that a name is judged by the address it leads to when that is dialled, which
// somebody else's name server may choose at each time.
func TestGuarded(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := newConnections(Sources{})
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for name, want := range map[string]error{"localhost": errNotForGuests, "127.0.0.1": errNotForGuests} {
		connection, err := c.guarded().verified.(*http.Transport).DialContext(t.Context(), "tcp", net.JoinHostPort(name, port))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if connection != nil {
			_ = connection.Close()
		}
	}
}

func TestIsNear(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "0.0.0.0": true, "::": true,
		"169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fd00:ec2::254": true, "224.0.0.1": true,
		"10.0.0.1": false, "192.168.1.1": false, "fd00::1": false, "8.8.8.8": false, "2001:db8::1": false,
	} {
		if got := isNear(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %t, want %t", address, got, want)
		}
	}
}
