function main({ param1, param2 }) {
  return { result: param1 + param2 };
}
