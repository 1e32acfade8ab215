// Package evidence finds signatures and attestations beside a digest in its registry, in both of
// the layouts that cosign writes, and proves what can be proven of them: that a key or the holder
// of a certificate made them, that they were logged, and that they are about the digest. It keeps
// them in the store for when the registry cannot be reached.
//
// It has no opinion about who should have signed: package verify has. Layouts:
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md and
// https://github.com/sigstore/cosign/blob/main/specs/BUNDLE_SPEC.md
package evidence
