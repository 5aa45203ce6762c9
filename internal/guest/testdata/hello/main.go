// Command hello is a guest for tests.
package main

import "fmt"

func main() { fmt.Println("hello") }
