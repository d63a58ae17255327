"""The words that text is made of, in three scripts."""

#: Common words, whose letters rise above and sink below the line as often as those of real texts.
LATIN = """the of and to in that was for with his they this have from not had but what all were when your can said
there use each which she how their will other about out many then them these some her would make like him into time has
look two more write see number way could people than first water been call who its now find long down day did get come
made may part over new sound take only little work know place year live back give most very after thing our just name
good sentence man think say great where help through much before line right too mean old any same tell boy follow came
want show also around form three small set put end does another well large must big even such because turn here why ask
went men read need land different home move try kind hand picture again change off play spell air away animal house
point page letter mother answer found study still learn should world high every near add food between own below country
plant last school father keep tree never start city earth eye light thought head under story saw left few while along
might close something seem next hard open example begin life always those both paper together got group often run
der die und das nicht von sie ist des sich mit dem dass auch als noch nach eine werden durch haben sein kann Jahre
zwischen Straße schon heute über für Zeit immer wieder gegen Frau möglich Hauptbahnhof Rechnung Datum Betrag Anschrift
le de un être et à il avoir ne je son que se qui ce dans en du elle au pour pas vous par sur faire plus dire mais nous
comme tout aussi leur bien où fois même prix quelque français jusqu'à
el la que no se por con su para como estar tener más lo hacer poder decir este ir otro ese si me ya ver porque dar
cuando muy sin vez mucho saber qué sobre mi alguno mismo también hasta año dos querer entre así primero desde grande
invoice total date order shipping quantity account street receipt signature address telephone amount payment customer"""
CYRILLIC = """и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой ещё один год так
о вы как человек такой для от же ты время если или мой самый только уже рука другой когда жизнь наш день первый мочь
сказать говорить два можно дело раз там после новый большой слово город дом друг стоять работа земля страница книга
письмо улица адрес сумма дата подпись заказ количество телефон Москва документ договор счёт"""
GREEK = """και το να του η της με που την από για είναι στο οι τα ο στην τον δεν θα σε τη των μια ένα στη αυτό τους ότι
αλλά μας έχει κατά όπως πολύ μου πως μετά όταν χρόνια μέρα ζωή κόσμος πρώτη ώρα σπίτι δρόμος πόλη βιβλίο γράμμα σελίδα
ημερομηνία ποσό διεύθυνση υπογραφή τηλέφωνο παραγγελία σύνολο λογαριασμός Αθήνα"""
#: The words of the scripts, Latin first.
SCRIPTS = tuple(tuple(words.split()) for words in (LATIN, CYRILLIC, GREEK))
