// Package chart tests the Helm chart charts/kooperd: what both versions of Helm make of it, and
// what that does on a real control plane. There is no kubelet, so a small one in the tests runs
// bin/kooperd for each pod of the release. It has no code for others.
//
//	go test ./chart
package chart

//go:generate go run ./readme ../../charts/kooperd
