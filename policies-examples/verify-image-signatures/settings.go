package main

import (
	"encoding/pem"
	"errors"
	"slices"
	"strconv"
	"strings"

	"policy-server/policies-examples/faults"
	"policy-server/sdk"
)

// wanted are the settings, ready to be applied.
type wanted struct {
	pin        bool // write the verified digest into the object
	signatures []signature
}

// parseSettings reads the settings and reports everything that is wrong with them in one error:
// what cannot be read with its path, and what could be read in the reference policy's words.
func parseSettings(settings sdk.Value) (*wanted, error) {
	var found faults.List
	found.Object("", settings, "modifyImagesWithDigest", "signatures")
	w := &wanted{pin: found.Bool("modifyImagesWithDigest", settings.Get("modifyImagesWithDigest"), true)}
	for i, value := range found.Elements("signatures", settings.Get("signatures"), "objects") {
		e := &entry{faults.Element("signatures", i), value, &found}
		w.signatures = append(w.signatures, e.parse())
	}
	if err := found.Err(); err != nil {
		return nil, err
	}
	if len(w.signatures) == 0 {
		return nil, errors.New("Signatures must not be empty")
	}
	return w, w.hold(signature.fault)
}

// hold asks fault about each entry, and reports what is wrong with any of them.
func (w *wanted) hold(fault func(signature) string) error {
	var texts []string
	for _, s := range w.signatures {
		if reason := fault(s); reason != "" {
			texts = append(texts, s.by.what()+" signature for image "+s.image+": "+strconv.Quote(reason))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// fault says what is wrong with an entry that could be read; "" when nothing is.
func (s signature) fault() string {
	if s.image == "" {
		return "no image provided"
	}
	switch by := s.by.(type) {
	case pubKeys:
		if slices.ContainsFunc(by.keys, func(key string) bool { return !isPEM(key) }) {
			return "non-PEM data found"
		}
	case certificates:
		if len(by.leaves) == 0 {
			return "no certificate provided"
		}
	}
	return ""
}

func isPEM(text string) bool {
	block, _ := pem.Decode([]byte(text))
	return block != nil
}

// checkCertificates asks the host about every certificate.
func (w *wanted) checkCertificates() error {
	return w.hold(func(s signature) string {
		if by, ok := s.by.(certificates); ok {
			return by.distrust()
		}
		return ""
	})
}
