package main

import (
	"errors"
	"strings"

	"policy-server/policies-examples/glob"
	"policy-server/policies-examples/imageref"
	"policy-server/sdk"
)

// images are those of one object, with what was found out about them.
type images struct {
	signatures []signature
	digests    map[string]string // by image as written; "" where nothing asks for signatures
	failures   []string          // in the reference policy's words
}

var errMoved = errors.New("its digest changed between two verifications")

// verify holds an image against every entry whose pattern it matches. An image that several containers have is verified
// once.
func (i *images) verify(image string) {
	if _, done := i.digests[image]; done {
		return
	}
	if i.digests == nil {
		i.digests = map[string]string{}
	}
	i.digests[image] = ""
	for _, s := range i.signatures {
		if !matches(s.image, image) {
			continue
		}
		digest, err := s.by.verify(image, s.annotations)
		if err == nil && i.digests[image] != "" && i.digests[image] != digest {
			err = errMoved // what one entry verified is not what the other one did
		}
		if err != nil {
			i.failures = append(i.failures, "verification of image "+image+" failed: "+reason(err))
			continue
		}
		i.digests[image] = digest
	}
}

// pinned returns image with the digest that was verified, unless it has one.
func (i *images) pinned(image string) string {
	digest := i.digests[image]
	if digest == "" || strings.Contains(image, "@") {
		return image
	}
	return image + "@" + digest
}

// matches reports whether a pattern means an image, as it is written or with nothing left out: what the operator wrote
// for docker.io must not be passed by with a shorter or an odder spelling.
func matches(pattern, image string) bool {
	if glob.Match(pattern, image) {
		return true
	}
	ref, err := imageref.Parse(image)
	return err == nil && glob.Match(pattern, ref.String())
}

// reason is an error of a host call in the host's words alone.
func reason(err error) string {
	var refusal *sdk.HostError
	if errors.As(err, &refusal) {
		return refusal.Text
	}
	return err.Error()
}
