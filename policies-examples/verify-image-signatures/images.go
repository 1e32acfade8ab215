package main

import (
	"errors"

	"policy-server/policies-examples/imageref"
	"policy-server/policies-examples/reason"
)

// images are those of one object, with what was found out about them.
type images struct {
	signatures []signature
	digests    map[string]string // by image as written; "" where nothing asks for signatures
	failures   []string          // in the reference policy's words
}

var errMoved = errors.New("its digest changed between two verifications")

// verify holds an image against every entry whose pattern it matches. An image that several
// containers have is verified once.
func (i *images) verify(image string) {
	if _, done := i.digests[image]; done {
		return
	}
	if i.digests == nil {
		i.digests = map[string]string{}
	}
	i.digests[image] = ""
	for _, s := range i.signatures {
		if !imageref.Match(s.image, image) {
			continue
		}
		digest, err := s.by.verify(image, s.annotations)
		if err == nil && i.digests[image] != "" && i.digests[image] != digest {
			err = errMoved // what one entry verified is not what the other one did
		}
		if err != nil {
			i.failures = append(i.failures, "verification of image "+image+" failed: "+reason.Of(err))
			continue
		}
		i.digests[image] = digest
	}
}
