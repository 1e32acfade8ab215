// Package dns answers the host capabilities of namespace net: name resolution with the host's own
// resolver.
package dns

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"

	"policy-server/hostcalls"
)

// LookupHost returns what answers net/v1/dns_lookup_host.
//
//	request:  a JSON string, the host name         "registry.example"
//	response: {"ips": [string, …]}, at least one   {"ips": ["192.0.2.7"]}
//
// A literal address answers itself; each address comes once. Errors: the resolver's. Obeys ctx.
func LookupHost() hostcalls.Capability {
	return hostcalls.Capability{Path: hostcalls.NetLookupHost, Understand: understand}
}

func understand(payload []byte) (hostcalls.Request, error) {
	var host string
	if err := json.Unmarshal(payload, &host); err != nil {
		return hostcalls.Request{}, fmt.Errorf("decode host name: %w", err)
	}
	return hostcalls.Request{
		Question: hostcalls.Question{Variant: "DNSLookupHost", Fields: hostcalls.Fields{{Name: "host", Value: host}}},
		Perform:  func(ctx context.Context) ([]byte, error) { return lookup(ctx, host) },
	}, nil
}

func lookup(ctx context.Context, host string) ([]byte, error) {
	addresses, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("failed to lookup address information: %w", err)
	}
	response := struct {
		IPs []string `json:"ips"`
	}{}
	for _, address := range addresses {
		if ip := address.IP.String(); !slices.Contains(response.IPs, ip) {
			response.IPs = append(response.IPs, ip)
		}
	}
	return json.Marshal(response)
}
