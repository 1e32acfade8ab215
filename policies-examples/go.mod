module policy-server/policies-examples

go 1.26

require policy-server/sdk v0.0.0

replace policy-server/sdk => ../sdk
