package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"go.uber.org/zap"

	"policy-server/registry"
	"policy-server/registry/evidence"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
)

// missingSignatures begins what guests of Kubewarden's server are told when constraints are not
// met.
const missingSignatures = "Image verification failed: missing signatures\nThe following constraints were not satisfied:\n"

// failed says why image does not meet r: in Kubewarden's words, without the reasons, which are for
// the log.
func (r request) failed(image string, err error) error {
	var refusal *verify.UnverifiedError
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Found == 0:
		return unsigned(image)
	case !anyIntact(refusal):
		return errors.New("failed to get image trusted layers: No Signature Layer passed verification")
	case r.certificate:
		return failedCertificate(refusal)
	}
	var unmet strings.Builder
	for _, u := range refusal.Unmet {
		unmet.WriteString(u.Constraint.String())
	}
	return fmt.Errorf("%s%s", missingSignatures, unmet.String())
}

// anyIntact reports whether a signature was found that is one, and is about the image, by any
// it.
func anyIntact(refusal *verify.UnverifiedError) bool {
	return slices.ContainsFunc(refusal.Unmet, func(u verify.Unmet) bool {
		return slices.ContainsFunc(u.Rejections, func(r verify.Rejection) bool {
			return slices.ContainsFunc([]error{
				evidence.ErrInvalidSignature, evidence.ErrAnnotation, evidence.ErrNoCertificate, evidence.ErrUntrustedCertificate,
				evidence.ErrUnloggedCertificate, evidence.ErrNotLogged, evidence.ErrNoTime, evidence.ErrExpired,
				evidence.ErrNotYetValid, evidence.ErrNoIdentity, evidence.ErrWrongIdentity,
			}, func(reason error) bool { return errors.Is(r.Reason, reason) })
		})
	})
}

// failedCertificate gives the reason when it lies in the certificate, so that no signature could
// have counted.
func failedCertificate(refusal *verify.UnverifiedError) error {
	for _, u := range refusal.Unmet {
		for _, r := range u.Rejections {
			if errors.Is(r.Reason, evidence.ErrUntrustedCertificate) {
				return r.Reason
			}
		}
	}
	return errors.New("verification failed: Several Signature Layers failed verification")
}

// unsigned is said of an image without any signature. The blank at the end is part of it.
func unsigned(image string) error { return fmt.Errorf("no signatures found for image: %s ", image) }

// unread is said when nothing was found out.
func unread(digest name.Digest, err error) error {
	var lookup *verify.LookupError
	var root *trust.RootError
	switch {
	case errors.As(err, &root):
		return fmt.Errorf("Image verification failed: the constraints need a Sigstore trust root, which is not there: %w", root.Err)
	case errors.As(err, &lookup):
		return err
	}
	return fmt.Errorf("signatures of %s cannot be read: %w", digest.Name(), err)
}

// unaskable is said of constraints that nothing could meet. They were not written in a file.
func unaskable(err error) error {
	return fmt.Errorf("Image verification failed: %s", strings.TrimPrefix(err.Error(), "Not a valid configuration file: "))
}

// imageReference is a reference to an image and its full text, by which it is known.
type imageReference struct {
	registry.Reference
	resolved string // registry, repository, and tag or digest or both
}

// parseReference reads an image as users write it. Kubewarden also takes it with the scheme that
// modules have.
func parseReference(image string) (imageReference, error) {
	reference, err := registry.ParseReference("registry://" + strings.TrimPrefix(image, "registry://"))
	if err != nil {
		return imageReference{}, invalidReference(err)
	}
	parsed, err := reference.OCI()
	if err != nil {
		return imageReference{}, err
	}
	host := parsed.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io" // as it is written, not as it is reached
	}
	written := reference.URI()
	last := written[strings.LastIndexByte(written, '/')+1:]
	suffix := ":" + name.DefaultTag
	if i := strings.IndexAny(last, ":@"); i >= 0 {
		suffix = last[i:]
	}
	return imageReference{reference, host + "/" + parsed.Context().RepositoryStr() + suffix}, nil
}

// invalidReference makes a *registry.InvalidReferenceError of err, if it is none: guests know it by
// its words.
func invalidReference(err error) error {
	var invalid *registry.InvalidReferenceError
	if errors.As(err, &invalid) {
		return err
	}
	return &registry.InvalidReferenceError{Reason: err.Error()}
}

// logOutcome tells the operator what guests are not told: why signatures did not count, and that
// nothing could be asked.
func (v *ImageVerifier) logOutcome(image string, digest name.Digest, err error) {
	fields := []zap.Field{zap.String("image", image), zap.String("digest", digest.DigestStr()), zap.Error(err)}
	switch {
	case err == nil:
		v.log.Debug("image verified", fields[:2]...)
	case isRefusal(err):
		v.log.Info("image not verified", fields...)
	default:
		v.log.Warn("image signatures cannot be read", fields...)
	}
}
