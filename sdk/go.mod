module policy-server/sdk

go 1.26
