"""test/kms_peers/test_lab.py -- kms_tool and the lab, with a key in a file: no server."""
import lab


class Local(lab.Case):
    @classmethod
    def start(cls):
        key = cls.lab.write("customer.key", lab.b64(bytes(range(32))) + "\n")
        cls.config = cls.lab.config({"provider": "local", "keyFile": key})

    def test_round_trip(self):
        wrapped = self.wrapped(self.config)
        self.opens(self.config, wrapped)
        self.fails(self.lab.unwrap(self.config, wrapped, context={"scope": "other"}), "corrupt")

    def test_one_client_answers_many(self):
        session = self.lab.session(self.config, "wrap")
        self.addCleanup(session.close)
        request = {**lab.CONTEXT, "plaintext": lab.b64(lab.PLAINTEXT)}
        answers = [session.ask(request), session.ask({}), session.ask(request)]
        self.assertEqual([a["ok"] for a in answers], [True, False, True])
        self.assertNotEqual(answers[0]["wrapped"], answers[2]["wrapped"])

    def test_describe(self):
        answer = self.lab.describe(self.config)
        self.assertEqual((answer["ok"], answer["state"]), (True, "enabled"))

    def test_wrong_configuration(self):
        config = self.lab.config({"provider": "local"})
        self.fails(self.lab.describe(config), "configuration", "keyFile")

    def test_database(self):
        self.lab.check_database(self.config)
