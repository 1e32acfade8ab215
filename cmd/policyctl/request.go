package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"policy-server/admission"
)

// requestText is the JSON of a request, of which it is not yet known what it must be.
type requestText []byte

// readRequest reads the request in file, in stdin when file is "-", and checks that it is JSON.
func readRequest(file string, stdin io.Reader) (requestText, error) {
	var data []byte
	var err error
	if file == "-" {
		if data, err = io.ReadAll(stdin); err != nil {
			return nil, saidf("Error reading request from stdin: %w", err)
		}
	} else if data, err = os.ReadFile(file); err != nil {
		return nil, saidf("Error opening request file %s; %w", file, system(err))
	}
	if _, err := admission.ParseRaw(data); err != nil {
		return nil, err
	}
	return data, nil
}

// request reads the text as a raw request, or as an AdmissionRequest, which may be inside an
// AdmissionReview.
func (d requestText) request(raw bool) (*admission.Request, error) {
	if raw {
		return admission.ParseRaw(d)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(d, &members); err != nil || members == nil {
		return nil, saidf("Invalid request object")
	}
	body := []byte(d)
	if bytes.Equal(members["kind"], []byte(`"AdmissionReview"`)) {
		var present bool
		if body, present = members["request"]; !present {
			return nil, errors.New("invalid AdmissionReview object")
		}
	}
	request, err := admission.ParseRequest(body)
	if err != nil {
		return nil, fmt.Errorf("cannot build AdmissionRequest object from given input: %w", err)
	}
	return request, nil
}
