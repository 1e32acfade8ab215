package main

import (
	"os"

	"policy-server/admission"
	"policy-server/policy"
)

// settings reads the policy's settings, a JSON object.
func (t *trial) settings() ([]byte, error) {
	switch {
	case t.settingsPath.Given:
		data, err := os.ReadFile(t.settingsPath.Text)
		if err != nil {
			return nil, saidf("Cannot open settings file %s: %w", t.settingsPath.Text, system(err))
		}
		settings, err := policy.ParseSettings(data)
		if err != nil {
			return nil, saidf("Cannot parse settings file %s: %w", t.settingsPath.Text, err)
		}
		return settings, nil
	case t.settingsJSON.Given:
		settings, err := parseJSONSettings([]byte(t.settingsJSON.Text))
		if err != nil {
			return nil, saidf("Cannot parse settings JSON: %w", err)
		}
		return settings, nil
	}
	return []byte("{}"), nil
}

// parseJSONSettings reads JSON and nothing else: YAML would take a forgotten quote for a string.
func parseJSONSettings(text []byte) ([]byte, error) {
	if _, err := admission.ParseRaw(text); err != nil {
		return nil, err
	}
	return policy.ParseSettings(text)
}
