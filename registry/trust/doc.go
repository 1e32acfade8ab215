// Package trust holds the trust root of a Sigstore: the certificate authorities, transparency logs
// and timestamp authorities that keyless signatures are proven against. It reads one from a file's
// content, or fetches it by TUF and keeps it in a folder. It does not know what is signed, nor who
// is asked for.
package trust
