package main

import (
	"testing"

	"policy-server/sdk/sdktest"
)

func TestCases(t *testing.T) { sdktest.RunCases(t, "cases") }
