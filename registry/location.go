package registry

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
)

// checkManifestLocation holds a registry to what it was sent: the address it gives a pushed
// manifest ends in a digest, which somebody is going to sign. The texts of its errors are
// Kubewarden's.
func checkManifestLocation(location string, manifest []byte) error {
	slash := strings.LastIndexByte(location, '/')
	if slash < 0 {
		return fault("Cannot extract manifest digest from the OCI registry response: " + location)
	}
	digest, _, _ := strings.Cut(location[slash+1:], "?")
	if unescaped, err := url.PathUnescape(digest); err == nil {
		digest = unescaped
	}
	algorithm, sum, found := strings.Cut(digest, ":")
	if !found {
		return fault("Invalid digest: " + digest)
	}
	var want string
	switch algorithm {
	case "sha256":
		of := sha256.Sum256(manifest)
		want = hex.EncodeToString(of[:])
	case "sha512":
		of := sha512.Sum512(manifest)
		want = hex.EncodeToString(of[:])
	default:
		return fault(fmt.Sprintf("unknown algorithm '%s' for manifest %s", algorithm, digest))
	}
	if _, err := hex.DecodeString(sum); err != nil || len(sum) != len(want) {
		return fault("The digest of the returned manifest is not valid: " + digest)
	}
	if sum != want {
		return fmt.Errorf("the registry stored another manifest than it was sent: got %q, want %q", digest, algorithm+":"+want)
	}
	return nil
}
