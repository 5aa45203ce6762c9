// Command mute is a program that forgot to be an action.
package main

import _ "wasmwhisk/actionsdk"

func main() {}
